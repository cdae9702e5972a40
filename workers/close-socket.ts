/** What may not be sent in a close frame: no code came, or no close frame at all (RFC 6455 7.4.1). */
const unsentCodes: ReadonlySet<number> = new Set([1005, 1006, 1015]);
/** A close frame carries 123 octets of reason (RFC 6455 5.5). */
const reasonOctetsMax = 120;

/** Closes a WebSocket that may be closed already. */
export function closeQuietly(socket: WebSocket, code = 1000, reason = ""): void {
  try {
    socket.close(code, reason.slice(0, reasonOctetsMax));
  } catch {
    // It is closed already.
  }
}

/**
 * Answers a close frame with one of the same code (RFC 6455 5.5.1). The runtime does not: a hibernating WebSocket whose end nobody answers
 * stays half open, and a browser calls that an abnormal end, ten seconds later.
 */
export function answerClose(socket: WebSocket, code: number, reason: string): void {
  closeQuietly(socket, unsentCodes.has(code) ? 1000 : code, reason);
}

/** How a socket of a member is closed that was removed (docs/decisions/0046-members-have-keys.md). */
export const strangerCode = 4003;
export const strangerText = "this is no member any more";
