/** The configuration or command line is wrong: one line on stderr, exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The gateway cannot run: one line on stderr that says why, exit code 1. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
}

/** The code of a system error (`ENOENT`, `EADDRINUSE`, ...), undefined for anything else. */
export function codeOf(thrown: unknown): string | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
}
