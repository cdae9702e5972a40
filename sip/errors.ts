import type { SipMessage } from "./message/sip-message.ts";

/**
 * What a parser returns instead of throwing: a stable code for logs and metrics, the SIP status a server would answer with,
 * a phrase that says what is wrong, and where in the octets it was found.
 */
export type ParseError = {
  readonly error: string;
  /** SIP status to answer a request with (400, 413, 414, 416, 505, ...). */
  readonly status: number;
  readonly reason: string;
  /** Offset in the octets or text that were parsed; 0 where it has no meaning. */
  readonly offset: number;
  /** The message as far as it could be read, when that is enough to answer it (RFC 3261 16.3: a 400 needs Via, From, To, Call-ID, CSeq). */
  readonly message?: SipMessage;
};

/** Makes a {@link ParseError}. */
export function parseError(error: string, status: number, reason: string, offset = 0): ParseError {
  return { error, status, reason, offset };
}

/** True when a parser's answer is an error and not a value. */
export function isParseError(value: unknown): value is ParseError {
  return typeof value === "object" && value !== null && "error" in value && "offset" in value;
}
