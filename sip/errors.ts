import type { SipMessage } from "./message/sip-message.ts";

/**
 * What a parser returns instead of throwing: a stable code for logs and metrics, the SIP status a server would answer with, and a phrase that says
 * what is wrong. It says where in the octets that was found.
 *
 * A class and not a plain object: it is asked of every value whether it is one, and that is one comparison then.
 */
export class ParseError {
  readonly error: string;
  /** SIP status to answer a request with (400, 413, 414, 416, 505, ...). */
  readonly status: number;
  readonly reason: string;
  /** Offset in the octets or text that were parsed; 0 where it has no meaning. */
  readonly offset: number;
  // Private, so that nothing that only looks like an error compiles as one.
  readonly #message: SipMessage | undefined;

  constructor(error: string, status: number, reason: string, offset: number, message?: SipMessage) {
    this.error = error;
    this.status = status;
    this.reason = reason;
    this.offset = offset;
    this.#message = message;
  }

  /** The message as far as it could be read, when that is enough to answer it. RFC 3261 16.3: a 400 needs Via, From, To, Call-ID, CSeq. */
  get message(): SipMessage | undefined {
    return this.#message;
  }

  /** The same error of this message. */
  of(message: SipMessage): ParseError {
    return new ParseError(this.error, this.status, this.reason, this.offset, message);
  }

  /** The same error at another offset. */
  at(offset: number): ParseError {
    return new ParseError(this.error, this.status, this.reason, offset, this.message);
  }
}

/** Makes a {@link ParseError}. */
export function parseError(error: string, status: number, reason: string, offset = 0): ParseError {
  return new ParseError(error, status, reason, offset);
}

/** The value when it is an error, else undefined. */
export function errorIn(value: unknown): ParseError | undefined {
  return isParseError(value) ? value : undefined;
}

/** True when a parser's answer is an error and not a value. */
export function isParseError(value: unknown): value is ParseError {
  return value instanceof ParseError;
}
