import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Failure, codeOf, reasonOf } from "../errors.ts";
import { shownPath } from "../shown-path.ts";

/** Who knows fewer characters of it guesses them. */
const secretCharactersMin = 32;

/** The secret of a system in its file; undefined: there is none. Throws a {@link Failure} for one that others may read, or that is none. */
export function secretIn(file: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
    if ((statSync(file).mode & 0o077) !== 0) throw new Failure(`${shownPath(file)} may be read by others: chmod 600 ${shownPath(file)}`);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error instanceof Failure ? error : new Failure(`${shownPath(file)}: cannot be read: ${reasonOf(error)}`);
  }
  if (!/^[!-~]+$/.test(text) || text.length < secretCharactersMin)
    throw new Failure(`${shownPath(file)}: must hold one line of ${secretCharactersMin} characters or more, without spaces`);
  return text;
}

/** Makes it, for this user alone. One that is there stays. */
export function makeSecret(file: string): string {
  const secret = randomBytes(32).toString("hex");
  writeFileSync(file, `${secret}\n`, { mode: 0o600, flag: "wx" });
  return secret;
}

/** The secret as wrangler takes it, for this user alone: it goes when it was used. */
export function writeSecrets(file: string, secret: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // One that is left of before may be open to others.
  rmSync(file, { force: true });
  writeFileSync(file, `${JSON.stringify({ TANDEM_SECRET: secret })}\n`, { mode: 0o600, flag: "wx" });
}

export function forgetSecrets(file: string): void {
  rmSync(file, { force: true });
}
