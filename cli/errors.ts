/** The command line is wrong: one line on stderr, exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The command was understood and failed: one line on stderr that says why, exit code 1. */
export class Failure extends Error {
  override readonly name = "Failure";
}

/** A cell has understood what it was asked, and does not do it: another one would say the same. */
export class Refusal extends Failure {}

/** A text of somebody else as one line of a terminal: what would move the cursor, end the line, or turn its order, is a question mark. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

/** The message of anything that was thrown, in one line. */
export function reasonOf(thrown: unknown): string {
  if (codeOf(thrown) === "ENOSPC") return "the disk is full: make room where the state directory lies, then try again";
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  // Node says the code, what it called, and the path once more: "ENOENT: no such file or directory, open '/path'".
  const ofFile = /^E[A-Z]+: (.*), [a-z]+ '.*'$/s.exec(text)?.[1];
  if (ofFile !== undefined) return ofFile;
  return text.replaceAll(/\s*\n\s*/g, " ").trim();
}

/** The code of a system error (`ENOENT`, `EADDRINUSE`, ...), undefined for anything else. */
export function codeOf(thrown: unknown): string | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
}
