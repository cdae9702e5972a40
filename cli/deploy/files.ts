import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { type Fault, faultText } from "../../schemas/reading.ts";
import { Failure, codeOf, reasonOf } from "../errors.ts";
import { root } from "../program.ts";
import { shownPath } from "../shown-path.ts";
import type { PlanFiles } from "./plan.ts";
import { systemFileOf } from "./system-file.ts";
import { type System, systemOf } from "./system.ts";
import { firstDifference, isAsMade, type WranglerText, wranglerTextOf } from "./wrangler-text.ts";

/** What becomes of wrangler.toml: nothing, it was not there, it is of an earlier tandem.toml, or was changed by hand and that is given up. */
export type Change = "same" | "new" | "other" | "forced";

/** The files beside a `tandem.toml`. */
export class DeployFiles {
  /** As people type them. */
  readonly name: string;
  readonly typed: PlanFiles;
  /** Absolute. */
  readonly secrets: string;
  readonly secret: string;
  readonly system: System;
  readonly #wrangler: string;
  readonly #first: string;

  /** Reads the file. Throws a {@link Failure} with the last thing that is wrong with it, and says all others before. */
  constructor(file: string, say: (fault: string) => void = () => undefined) {
    this.name = shownPath(file);
    this.system = this.#read(file, say);
    const directory = dirname(file);
    this.#wrangler = join(directory, "wrangler.toml");
    this.#first = join(directory, ".tandem", "deploy", "first.toml");
    this.secrets = join(directory, ".tandem", "deploy", "secrets.json");
    this.secret = resolve(directory, this.system.secretFile);
    this.typed = {
      secret: shownPath(this.secret),
      secrets: shownPath(this.secrets),
      wrangler: shownPath(this.#wrangler),
      first: shownPath(this.#first),
    };
  }

  #read(file: string, say: (fault: string) => void): System {
    let toml: string;
    try {
      toml = readFileSync(file, "utf8");
    } catch (error) {
      throw new Failure(`${this.name}: ${codeOf(error) === "ENOENT" ? "does not exist" : `cannot be read: ${reasonOf(error)}`}`);
    }
    const content = systemFileOf(toml);
    const made = "faults" in content ? content : systemOf(content.file);
    if ("system" in made) return made.system;
    const lines = made.faults.map((fault: Fault) => `${this.name}: ${faultText(fault)}`);
    for (const line of lines.slice(0, -1)) say(line);
    throw new Failure(lines.at(-1) ?? `${this.name}: is no system`);
  }

  /** wrangler.toml, and the one without bindings, which stands in a folder of its own. */
  texts(): { readonly last: WranglerText; readonly first: WranglerText } {
    const main = join(root, "workers", "index.ts");
    const from = (file: string): string => relative(dirname(file), main);
    return {
      last: wranglerTextOf(this.system, from(this.#wrangler)),
      first: wranglerTextOf(this.system, from(this.#first), { isBound: false }),
    };
  }

  /** What becomes of wrangler.toml by this text. Throws a {@link Failure} when it was changed by hand, unless that is given up. */
  compare({ text }: WranglerText, isForced: boolean): Change {
    let there: string;
    try {
      there = readFileSync(this.#wrangler, "utf8");
    } catch (error) {
      if (codeOf(error) === "ENOENT") return "new";
      throw new Failure(`${this.typed.wrangler}: cannot be read: ${reasonOf(error)}`);
    }
    if (there === text) return "same";
    if (isAsMade(there)) return "other";
    if (isForced) return "forced";
    const { line, there: own, made } = firstDifference(there, text) ?? { line: 2, there: "another hash", made: "its own" };
    throw new Failure(
      `${this.typed.wrangler} was changed by hand: line ${line} is ${JSON.stringify(own)}, and ${basename(this.name)} makes ${JSON.stringify(made)}; change ${basename(this.name)}, or give it up with --force`,
    );
  }

  /** Writes both. */
  write(last: WranglerText, first: WranglerText): void {
    mkdirSync(dirname(this.#first), { recursive: true, mode: 0o700 });
    writeFileSync(this.#first, first.text);
    writeFileSync(this.#wrangler, last.text);
  }
}
