import { existsSync, readFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { protocolVersion } from "../cluster/protocol-version.ts";
import { Failure } from "./errors.ts";
import { isTable, isText } from "./json.ts";
import { quoted } from "./shown-path.ts";

/** What an archive says of itself, beside its code: `lib/program.json`. */
export type ProgramFile = {
  readonly version: string;
  /** The commit that it was made of, with a `+` where the checkout had changes; empty: nobody knows. */
  readonly commit: string;
  /** Of the protocol between cells and gateways. */
  readonly protocol: number;
};

/** The file of a {@link ProgramFile}: who has it beside itself belongs to an archive. */
export const programFileName = "program.json";

/** The checkout that this command belongs to; of an archive the folder above its code. */
export const root = resolve(import.meta.dirname, "..");

const isArchive = existsSync(join(import.meta.dirname, programFileName));

/** Where the parts of a program are: of a checkout, or of an archive that `npm run package` has made. */
export type Program = {
  /** How people start it. */
  readonly name: string;
  /** How other processes start it: the program, and its first words. */
  readonly command: readonly string[];
  /** What gateways run with. */
  readonly node: string;
  readonly gateway: string;
  readonly wranglerFile: string;
  /** The cells' script, where it is made already. */
  readonly cells: string | undefined;
  readonly workerd: () => string;
};

/** A program of an archive; `lib`: the folder of its code. */
export function programIn(lib: string): Program {
  return {
    name: quoted(join(lib, "..", "bin", "tandem")),
    command: [join(lib, "..", "bin", "tandem")],
    node: join(lib, "node"),
    gateway: join(lib, "gateway.js"),
    wranglerFile: join(lib, "wrangler.toml"),
    cells: join(lib, "cells"),
    workerd: () => join(lib, "workerd"),
  };
}

/** This one. */
export const program: Program = isArchive
  ? programIn(import.meta.dirname)
  : {
      name: "npx tandem",
      command: [process.execPath, join(root, "cli", "tandem.ts")],
      node: process.execPath,
      gateway: join(root, "gateway", "index.ts"),
      wranglerFile: join(root, "wrangler.toml"),
      cells: undefined,
      workerd: installedWorkerd,
    };

/** Version and commit. A checkout asks git, which takes some milliseconds: ask once. */
export function programVersion(): ProgramFile {
  if (isArchive) return versionIn(import.meta.dirname);
  const { version } = programFileOf(readFileSync(join(root, "package.json"), "utf8"));
  return { version, commit: commitOf(root), protocol: protocolVersion };
}

/** Those of an archive; `lib`: the folder of its code. Throws a {@link Failure}. */
export function versionIn(lib: string): ProgramFile {
  return programFileOf(readFileSync(join(lib, programFileName), "utf8"));
}

/** As `tandem --version` says it. */
export function versionText({ version, commit }: Pick<ProgramFile, "version" | "commit">): string {
  return commit === "" ? version : `${version} (${commit})`;
}

/** Reads version and commit of a file that says at least the version. Throws a {@link Failure}. */
export function programFileOf(text: string): ProgramFile {
  const read: unknown = JSON.parse(text);
  const { version, commit, protocol } = isTable(read) ? read : {};
  if (!isText(version)) throw new Failure("this program does not say its version");
  return { version, commit: isText(commit) ? commit : "", protocol: typeof protocol === "number" ? protocol : 0 };
}

/** The commit of a checkout, twelve digits, with a `+` when files of it were changed; empty without git. */
export function commitOf(checkout: string): string {
  const git = (...words: string[]): string =>
    execFileSync("git", words, { cwd: checkout, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    // A checkout within another one's folders is none of its own.
    if (resolve(git("rev-parse", "--show-toplevel")) !== checkout) return "";
    return `${git("rev-parse", "--short=12", "HEAD")}${git("status", "--porcelain", "--untracked-files=no") === "" ? "" : "+"}`;
  } catch {
    return "";
  }
}

/** workerd's own program: the file behind its JavaScript wrapper, whose process id would be the wrapper's. */
function installedWorkerd(): string {
  let exports: unknown;
  try {
    exports = createRequire(import.meta.url)("workerd");
  } catch {
    exports = undefined;
  }
  const path = isTable(exports) ? exports["default"] : undefined;
  if (typeof path !== "string") throw new Failure("workerd is not installed for this machine: run npm ci");
  return path;
}
