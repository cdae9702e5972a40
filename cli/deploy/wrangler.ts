import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { Failure, reasonOf } from "../errors.ts";
import { program, root } from "../program.ts";

/** An upload takes seconds. One that hangs is ended, and typed again. */
const wranglerMsMax = 600_000;
/** Of what it says, so much of the end is kept. */
const saidOctetsMax = 256 * 1024;
/** What is said of a failure, in characters. */
const reasonMax = 300;

/** The secret is in its file, and one in the environment would win over that. Tokens of other accounts are for others. */
const noneOfIts = /^(?:TANDEM_SECRET$|CLOUDFLARE_API_TOKEN_)/;

export type WranglerRun = {
  readonly words: readonly string[];
  /** Beside the environment of this process: the token of an account. */
  readonly environment: NodeJS.ProcessEnv;
  readonly cwd: string;
};

/** Runs wrangler. Resolves with what it said; rejects with a {@link Failure} that says why it failed. */
export type Wrangler = (run: WranglerRun) => Promise<string>;

/** The program that runs as wrangler: its own of this checkout. Throws a {@link Failure}. */
export function wranglerProgram(): readonly string[] {
  const file = join(root, "node_modules", "wrangler", "bin", "wrangler.js");
  if (program.cells !== undefined)
    throw new Failure("tandem deploy is for a checkout of Tandem: an archive has no wrangler, and no sources to deploy");
  if (!existsSync(file)) throw new Failure("wrangler is not installed: run npm ci, without --omit=dev");
  return [process.execPath, file];
}

/** As a {@link Wrangler}. `ms`: how long it may take. */
export function wranglerOf([command = "", ...first]: readonly string[], environment: NodeJS.ProcessEnv, ms = wranglerMsMax): Wrangler {
  return async ({ words, environment: more, cwd }) => {
    // Nobody answers what it would ask.
    const rest = Object.fromEntries(Object.entries(environment).filter(([name]) => !noneOfIts.test(name)));
    const env = { ...rest, CI: "1", NO_COLOR: "1", WRANGLER_SEND_METRICS: "false", ...more };
    const child = spawn(command, [...first, ...words], { cwd, env, stdio: ["ignore", "pipe", "pipe"], timeout: ms, killSignal: "SIGKILL" });
    let said = "";
    const take = (text: string): void => void (said = (said + text).slice(-saidOctetsMax));
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", take);
    try {
      await once(child, "close");
    } catch (error) {
      throw new Failure(`wrangler cannot be started: ${reasonOf(error)}`);
    }
    const text = stripVTControlCharacters(said);
    if (child.exitCode === 0) return text;
    throw new Failure(child.signalCode === null ? errorIn(text, child.exitCode ?? 0) : `it was ended by ${child.signalCode}`);
  };
}

/** What wrangler says of its failure, in a line. */
function errorIn(text: string, code: number): string {
  const lines = text.split("\n").map((line) => line.trim());
  const at = lines.findIndex((line) => line.includes("[ERROR]"));
  const own = at < 0 ? lines.filter((line) => line !== "").slice(-3) : lines.slice(at, at + 6);
  const reason = own
    .join(" ")
    .replace(/^.*?\[ERROR\]\s*/, "")
    .replaceAll(/\s+/g, " ")
    .trim();
  return reason === "" ? `it ended with ${code}` : reason.length > reasonMax ? `${reason.slice(0, reasonMax)}...` : reason;
}
