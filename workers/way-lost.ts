import { socketEndedText } from "../actors/frame-socket.ts";

/** In the words of the runtime: the process at the other end has ended, or refuses connections. */
const lostText = "Network connection lost";

export function isWayLost(error: unknown): boolean {
  return error instanceof Error && (error.message.startsWith(lostText) || error.message === socketEndedText);
}

/**
 * Says why another part did not do what it was asked. Nothing is said here of a way that was lost. The core group says that a cell is down, in one
 * line, and what was under way goes the other way.
 */
export function warnOf(what: string, error: unknown): void {
  if (!isWayLost(error)) console.warn(`${what}: ${error instanceof Error ? error.message : String(error)}`);
}
