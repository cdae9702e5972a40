import { existsSync, readFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { Failure } from "./errors.ts";
import { isTable, isText } from "./json.ts";
import { quoted } from "./shown-path.ts";

/** What an archive says of itself, beside its code: `lib/program.json`. */
export type ProgramFile = {
  readonly version: string;
  /** The commit that it was made of, with a `+` where the checkout had changes; empty: nobody knows. */
  readonly commit: string;
};

/** The file of a {@link ProgramFile}: who has it beside itself belongs to an archive. */
export const programFileName = "program.json";

/** The checkout that this command belongs to; of an archive the folder above its code. */
export const root = resolve(import.meta.dirname, "..");

const isArchive = existsSync(join(import.meta.dirname, programFileName));

/** Where the parts of this program are: in a checkout, or in an archive that `npm run package` has made. */
export const program = isArchive
  ? {
      /** How people start it. */
      name: quoted(join(root, "bin", "tandem")),
      gateway: join(import.meta.dirname, "gateway.js"),
      wranglerFile: join(import.meta.dirname, "wrangler.toml"),
      /** The cells' script, where it is made already. */
      cells: join(import.meta.dirname, "cells"),
    }
  : {
      name: "npx tandem",
      gateway: join(root, "gateway", "index.ts"),
      wranglerFile: join(root, "wrangler.toml"),
      cells: undefined,
    };

/** Version and commit. Only `tandem --version` and reports ask: a checkout asks git. */
export function programVersion(): ProgramFile {
  if (isArchive) return programFileOf(readFileSync(join(import.meta.dirname, programFileName), "utf8"));
  const { version } = programFileOf(readFileSync(join(root, "package.json"), "utf8"));
  return { version, commit: commitOf(root) };
}

/** As `tandem --version` says it. */
export function versionText({ version, commit }: ProgramFile): string {
  return commit === "" ? version : `${version} (${commit})`;
}

/** Reads version and commit of a file that says at least the version. Throws a {@link Failure}. */
export function programFileOf(text: string): ProgramFile {
  const read: unknown = JSON.parse(text);
  if (!isTable(read) || !isText(read["version"])) throw new Failure("this program does not say its version");
  return { version: read["version"], commit: isText(read["commit"]) ? read["commit"] : "" };
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

/** workerd's own program: in a checkout the file behind its JavaScript wrapper, whose process id would be the wrapper's. */
export function workerdBinary(): string {
  if (isArchive) return join(import.meta.dirname, "workerd");
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
