import { parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { messageOctetsMax } from "../limits.ts";
import { CR, LF, TOKEN, isOf } from "./characters.ts";
import { Scan } from "./scan.ts";
import { errorOf } from "./sip-message.ts";

export type FramerEvent =
  /** One whole message: a view of the chunk it came in, or a copy when it came in several. */
  | { readonly type: "message"; readonly octets: Uint8Array }
  /** CRLFCRLF between messages: answer with CRLF (RFC 5626 3.5.1). */
  | { readonly type: "ping" }
  /** A single CRLF between messages: the answer to our ping. */
  | { readonly type: "pong" }
  /** The stream cannot be followed any further: answer `error.message` if there is one, then close the connection. */
  | { readonly type: "error"; readonly error: ParseError };

export type FramerLimits = { readonly messageOctetsMax: number };

/** What was seen since the last message or ping. "pong": a CRLF, reported already. */
type Between = "nothing" | "CR" | "CRLF" | "CRLF CR" | "pong" | "pong CR";
type Next = Between | "ping" | "message" | "broken";

const afterCrOrLf: Readonly<Record<Between, { cr: Next; lf: Next; other: Next }>> = {
  nothing: { cr: "CR", lf: "broken", other: "message" },
  CR: { cr: "broken", lf: "CRLF", other: "broken" },
  CRLF: { cr: "CRLF CR", lf: "broken", other: "message" },
  "CRLF CR": { cr: "broken", lf: "ping", other: "broken" },
  pong: { cr: "pong CR", lf: "broken", other: "message" },
  "pong CR": { cr: "broken", lf: "ping", other: "broken" },
};

/**
 * Finds the messages in a TCP or TLS stream (RFC 3261 18.3), whatever the chunks. Each octet is looked at a bounded number of times, and no more is
 * held than one message may have. A Content-Length is checked before anything is allocated for it.
 *
 * A ping that comes in two halves is a pong and then a ping. That the first CRLF is half a ping cannot be known, and a pong must be reported when it
 * comes.
 */
export class StreamFramer {
  readonly #max: number;
  /** What has come of a message that is not whole. */
  #held: Uint8Array = new Uint8Array(0);
  #length = 0;
  /** Octets of the held message in all; 0 while its headers have not ended. */
  #messageLength = 0;
  /** How much of the CRLFCRLF that ends the headers was seen last. */
  #matched = 0;
  /** Whether the held message is known to begin with a start line of SIP. */
  #isStarted = false;
  #between: Between = "nothing";
  #isBroken = false;

  constructor(limits: FramerLimits = { messageOctetsMax }) {
    this.#max = limits.messageOctetsMax;
  }

  /** Octets held until the rest of their message comes. */
  get buffered(): number {
    return this.#length;
  }

  /** What a chunk completes. Nothing after an error. The chunk must not change afterwards. */
  push(chunk: Uint8Array): FramerEvent[] {
    const events: FramerEvent[] = [];
    let at = 0;
    while (at < chunk.length && !this.#isBroken) {
      if (this.#length > 0) at = this.#continueMessage(chunk, at, events);
      else {
        at = this.#skipKeepAlives(chunk, at, events);
        if (at < chunk.length && !this.#isBroken) at = this.#beginMessage(chunk, at, events);
      }
    }
    if (this.#between === "CRLF" && !this.#isBroken) {
      events.push({ type: "pong" });
      this.#between = "pong";
    }
    return events;
  }

  /** Reads CR and LF between messages and returns the offset behind them (RFC 3261 7.5, RFC 5626 3.5.1). */
  #skipKeepAlives(chunk: Uint8Array, start: number, events: FramerEvent[]): number {
    for (let at = start; at < chunk.length; at++) {
      const octet = chunk[at] ?? 0;
      const { [this.#between]: step } = afterCrOrLf;
      const next = octet === CR ? step.cr : octet === LF ? step.lf : step.other;
      if (next === "broken" || (next === "message" && !isOf(octet, TOKEN))) {
        this.#break(events, parseError("stream", 400, "No SIP Message", at));
        return at;
      }
      if (next === "ping") events.push({ type: "ping" });
      if (next === "message" && this.#between === "CRLF") events.push({ type: "pong" });
      this.#between = next === "ping" || next === "message" ? "nothing" : next;
      if (next === "message") return at;
    }
    return chunk.length;
  }

  /** A message begins here: one that is whole in the chunk is not copied. */
  #beginMessage(chunk: Uint8Array, start: number, events: FramerEvent[]): number {
    this.#matched = 0;
    const headEnd = this.#endOfHead(chunk, start);
    if (headEnd >= 0) {
      const length = this.#lengthOf(chunk, start, headEnd, events);
      if (this.#isBroken) return headEnd;
      if (length <= chunk.length - start) {
        events.push({ type: "message", octets: chunk.subarray(start, start + length) });
        return start + length;
      }
      this.#messageLength = length;
    }
    return this.#hold(chunk, start, chunk.length, events);
  }

  #continueMessage(chunk: Uint8Array, start: number, events: FramerEvent[]): number {
    let at = start;
    if (this.#messageLength === 0) {
      const headEnd = this.#endOfHead(chunk, start);
      at = this.#hold(chunk, start, headEnd < 0 ? chunk.length : headEnd, events);
      if (headEnd < 0 || this.#isBroken) return at;
      this.#messageLength = this.#lengthOf(this.#held, 0, this.#length, events);
      if (this.#isBroken) return at;
    }
    at = this.#hold(chunk, at, Math.min(chunk.length, at + this.#messageLength - this.#length), events);
    if (this.#length === this.#messageLength) {
      events.push({ type: "message", octets: this.#held.subarray(0, this.#length) });
      this.#reset();
    }
    return at;
  }

  /** The offset behind the empty line, -1 when it has not come; goes on where the last chunk ended. */
  #endOfHead(chunk: Uint8Array, start: number): number {
    let matched = this.#matched;
    for (let at = start; at < chunk.length; at++) {
      const octet = chunk[at];
      if (octet === CR) matched = matched === 2 ? 3 : 1;
      else if (octet !== LF) matched = 0;
      else if (matched === 1) matched = 2;
      else if (matched === 3) return at + 1;
      else matched = 0;
    }
    this.#matched = matched;
    return -1;
  }

  /** How long the message with these headers is. Without a Content-Length nobody knows (RFC 3261 18.3, 20.14): the stream is broken. */
  #lengthOf(octets: Uint8Array, start: number, headEnd: number, events: FramerEvent[]): number {
    const scan = Scan.read(octets, start, headEnd);
    const length = scan.contentLength;
    if (length < 0) {
      const error = scan.error ?? parseError("content-length", 400, "Missing Content-Length", start);
      this.#break(events, errorOf(scan, error.error, error.status, error.reason, error.offset));
      return 0;
    }
    if (headEnd - start + length > this.#max) {
      this.#break(events, errorOf(scan, "message-max", 513, "Message Too Large", start));
      return 0;
    }
    return headEnd - start + length;
  }

  /** Keeps octets of the chunk; room grows by doubling, or at once to what the message will need. */
  #hold(chunk: Uint8Array, start: number, end: number, events: FramerEvent[]): number {
    const length = this.#length + end - start;
    if (length > this.#max) {
      this.#break(events, parseError("message-max", 513, "Message Too Large", start));
      return end;
    }
    if (length > this.#held.length) {
      const wanted = this.#messageLength > 0 ? this.#messageLength : Math.max(length, 2 * this.#held.length, 512);
      const grown = new Uint8Array(Math.min(wanted, this.#max));
      grown.set(this.#held.subarray(0, this.#length));
      this.#held = grown;
    }
    this.#held.set(chunk.subarray(start, end), this.#length);
    const added = this.#length;
    this.#length = length;
    if (!this.#isStarted) this.#checkStart(added, events);
    return end;
  }

  /** A first line that is no start line (RFC 3261 7.1, 7.2) begins nothing whose end would ever come. `added`: where the last octets were put. */
  #checkStart(added: number, events: FramerEvent[]): void {
    const lineEnd = this.#held.subarray(0, this.#length).indexOf(LF, added);
    if (lineEnd < 0) return;
    this.#isStarted = true;
    for (let at = 0; at < lineEnd; at++) if (isVersion(this.#held, at)) return;
    this.#break(events, parseError("stream", 400, "No SIP Message", lineEnd));
  }

  #break(events: FramerEvent[], error: ParseError): void {
    events.push({ type: "error", error });
    this.#isBroken = true;
    this.#reset();
  }

  #reset(): void {
    this.#held = new Uint8Array(0);
    this.#length = 0;
    this.#messageLength = 0;
    this.#matched = 0;
    this.#isStarted = false;
  }
}

/** `SIP/`, in any case (RFC 3261 7.1). */
function isVersion(octets: Uint8Array, at: number): boolean {
  return (
    octets[at + 3] === slash &&
    ((octets[at] ?? 0) | lowerCase) === 0x73 &&
    ((octets[at + 1] ?? 0) | lowerCase) === 0x69 &&
    ((octets[at + 2] ?? 0) | lowerCase) === 0x70
  );
}

const slash = 0x2f;
const lowerCase = 0x20;
