import type { Socket } from "node:net";
import { buildResponse } from "../sip/message/build.ts";
import { StreamFramer } from "../sip/message/stream-framer.ts";
import type { ParseError } from "../sip/errors.ts";
import { connectingOctetsMax, lingerMs, linksPerConnectionMax, unwrittenOctetsMax } from "./limits.ts";
import type { TrunkLink } from "./trunk-link.ts";

/** Called when a message could not be sent. */
export type Failed = () => void;

export type ConnectionHandlers = {
  message(connection: Connection, octets: Uint8Array): void;
  keepAlive(): void;
  junk(): void;
  /** The connection is gone; `wasOpen`: it had been made. */
  closed(connection: Connection, wasOpen: boolean): void;
};

const crlf = new Uint8Array([0x0d, 0x0a]);

/** One TCP or TLS connection: its stream cut into messages, what waits while it is made, and which trunks must hear of its end. */
export class Connection {
  /** Its flow key, unique in this gateway. */
  readonly key: string;
  /** Flow key without the connection's name: "any connection to that address". */
  readonly anyKey: string;
  readonly address: string;
  readonly #socket: Socket;
  readonly #handlers: ConnectionHandlers;
  readonly #framer = new StreamFramer();
  readonly #links = new Set<TrunkLink>();
  #isOpen: boolean;
  #isClosed = false;
  #isCorked = false;
  #waiting: { readonly octets: Uint8Array; readonly failed: Failed }[] = [];
  #waitingOctets = 0;
  /** When something last came or went, ms. */
  activeAt: number;
  /** Since when a message is incomplete, ms; 0: none is. */
  partialSince = 0;

  constructor(
    identity: { readonly key: string; readonly anyKey: string; readonly address: string },
    socket: Socket,
    isOpen: boolean,
    handlers: ConnectionHandlers,
    now: number,
  ) {
    this.key = identity.key;
    this.anyKey = identity.anyKey;
    this.address = identity.address;
    this.#socket = socket;
    this.#isOpen = isOpen;
    this.#handlers = handlers;
    this.activeAt = now;
    socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    // The error itself says nothing that the close does not.
    socket.on("error", () => {});
    socket.on("close", () => this.#finish());
  }

  /** Trunks that this connection's messages came from or went to; undefined: too many to remember, tell all. */
  get links(): ReadonlySet<TrunkLink> | undefined {
    return this.#links.size > linksPerConnectionMax ? undefined : this.#links;
  }

  usedBy(link: TrunkLink): void {
    if (this.#links.size <= linksPerConnectionMax) this.#links.add(link);
  }

  /** The connection that was begun is made. */
  opened(now: number): void {
    this.#isOpen = true;
    this.activeAt = now;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingOctets = 0;
    for (const { octets, failed } of waiting) this.send(octets, failed, now);
  }

  /** Sends a message, now or when the connection is made. `failed` is called when it certainly did not leave. */
  send(octets: Uint8Array, failed: Failed, now: number): void {
    if (this.#isClosed) {
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

  /** Closes at once. */
  close(): void {
    this.#socket.destroy();
  }

  #write(octets: Uint8Array, failed: Failed, now: number): void {
    if (this.#socket.writableLength + octets.length > unwrittenOctetsMax) {
      // It reads too slowly, or sleeps: better a new connection than a queue that only grows.
      this.#socket.destroy();
      failed();
      return;
    }
    this.activeAt = now;
    if (!this.#isCorked) {
      // All messages of one frame leave in one write.
      this.#isCorked = true;
      this.#socket.cork();
      queueMicrotask(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(octets);
  }

  #receive(chunk: Uint8Array): void {
    const now = Date.now();
    this.activeAt = now;
    for (const event of this.#framer.push(chunk)) {
      if (this.#isClosed) return;
      switch (event.type) {
        case "message":
          this.#handlers.message(this, event.octets);
          break;
        case "ping":
          // RFC 5626 3.5.1: answered at once.
          this.#handlers.keepAlive();
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
    if (this.#framer.buffered === 0) this.partialSince = 0;
    else if (this.partialSince === 0) this.partialSince = now;
  }

  /** The stream cannot be followed: what can be answered is, and the connection ends (RFC 3261 18.3). */
  #refuse(error: ParseError, now: number): void {
    this.#handlers.junk();
    const { message } = error;
    if (message?.isRequest === true && message.isAnswerable && message.method !== "ACK") {
      this.#write(buildResponse(message, error.status, { reason: error.reason }), () => {}, now);
    }
    this.#socket.destroySoon();
    // A peer that does not read must not keep it open.
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
