import type { Socket } from "node:net";
import { buildResponse } from "../../sip/message/build.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { StreamFramer } from "../../sip/message/stream-framer.ts";
import type { ParseError } from "../../sip/errors.ts";
import { Connection, type ConnectionHandlers, type ConnectionNames, type Ending, type Failed, crlf, gather } from "./connection.ts";
import { connectingOctetsMax, lastAnswersMs, lingerMs, unwrittenOctetsMax } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { steadyNow } from "../steady-now.ts";

/** One TCP or TLS connection: its stream cut into messages, and what waits while it is made. */
export class StreamConnection extends Connection {
  readonly #socket: Socket;
  readonly #handlers: ConnectionHandlers;
  readonly #framer = new StreamFramer();
  #isOpen: boolean;
  #isClosed = false;
  #waiting: { readonly octets: Uint8Array; readonly failed: Failed }[] = [];
  #waitingOctets = 0;
  /** Requests that came and have had no final response: a stream that breaks ends behind those. */
  #unanswered = 0;
  /** The stream cannot be followed any further; "ended": nothing is written any more either. */
  #broken: "no" | "answering" | "ended" = "no";

  constructor(names: ConnectionNames, socket: Socket, isOpen: boolean, handlers: ConnectionHandlers, now: SteadyMs) {
    super(names, now);
    this.#socket = socket;
    this.#isOpen = isOpen;
    this.#handlers = handlers;
    socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    // The error itself says nothing that the close does not.
    socket.on("error", () => {});
    socket.on("close", () => this.#finish());
  }

  /** The connection that was begun is made. */
  opened(now: SteadyMs): void {
    this.#isOpen = true;
    this.activeAt = now;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingOctets = 0;
    for (const { octets, failed } of waiting) this.send(octets, failed, now);
  }

  override send(octets: Uint8Array, failed: Failed, now: SteadyMs): void {
    if (this.#isClosed || this.#broken === "ended") {
      failed();
    } else if (this.#isOpen) {
      this.#write(octets, failed, now);
    } else if (this.#waitingOctets + octets.length > connectingOctetsMax) {
      failed();
    } else {
      this.#waiting.push({ octets, failed });
      this.#waitingOctets += octets.length;
    }
  }

  override close(ending: Ending): void {
    // What was written a moment ago leaves.
    if (ending === "draining") this.#end();
    else this.#socket.destroy();
  }

  #write(octets: Uint8Array, failed: Failed, now: SteadyMs): void {
    if (this.#socket.writableLength + octets.length > unwrittenOctetsMax) {
      // It reads too slowly, or sleeps: better a new connection than a queue that only grows.
      this.#socket.destroy();
      failed();
      return;
    }
    this.activeAt = now;
    gather(this.#socket);
    this.#socket.write(octets);
    if (this.#unanswered === 0 || !isFinalResponse(octets)) return;
    this.#unanswered -= 1;
    if (this.#unanswered === 0 && this.#broken === "answering") this.#end();
  }

  #receive(chunk: Uint8Array): void {
    // What is left unread when a socket closes has its system take back what was written last.
    if (this.#broken !== "no") return;
    const now = steadyNow();
    this.activeAt = now;
    for (const event of this.#framer.push(chunk)) {
      if (this.#isClosed) return;
      switch (event.type) {
        case "message":
          if (isAnswered(event.octets)) this.#unanswered += 1;
          this.#handlers.message(this, event.octets);
          break;
        case "ping":
          // RFC 5626 3.5.1: answered at once.
          this.#handlers.keepAlive(this);
          this.#write(crlf, () => {}, now);
          break;
        case "pong":
          break;
        case "error":
          this.#refuse(event.error, now);
          return;
        default:
          event satisfies never;
      }
    }
    this.received(this.#framer.buffered === 0, now);
  }

  /**
   * The stream cannot be followed: what can be answered is, and the connection ends (RFC 3261 18.3). Requests that came before are whole: their
   * answers leave first.
   */
  #refuse(error: ParseError, now: SteadyMs): void {
    this.#handlers.junk();
    this.#broken = "answering";
    const { message } = error;
    if (message?.isRequest === true && message.isAnswerable && message.method !== "ACK") {
      this.#unanswered += 1;
      this.#write(buildResponse(message, error.status, { reason: error.reason }), () => {}, now);
    }
    if (this.#unanswered === 0) this.#end();
    else setTimeout(() => this.#end(), lastAnswersMs).unref();
  }

  /** What was written leaves. Whoever does not read must not keep the connection open. */
  #end(): void {
    if (this.#broken === "ended") return;
    this.#broken = "ended";
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), lingerMs).unref();
  }

  #finish(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { failed } of waiting) failed();
    this.#handlers.closed(this, this.#isOpen);
  }
}

/** Whether somebody waits for an answer to this message: it is no response and no ACK. */
function isAnswered(octets: Uint8Array): boolean {
  return !startsWith(octets, responseStart) && !startsWith(octets, ackStart);
}

function isFinalResponse(octets: Uint8Array): boolean {
  return startsWith(octets, responseStart) && octets[responseStart.length] !== digitOne;
}

function startsWith(octets: Uint8Array, start: Uint8Array): boolean {
  for (let at = 0; at < start.length; at += 1) if (octets[at] !== start[at]) return false;
  return true;
}

const responseStart = octetsOf("SIP/2.0 ");
const ackStart = octetsOf("ACK ");
/** Of 1xx. */
const digitOne = 0x31;
