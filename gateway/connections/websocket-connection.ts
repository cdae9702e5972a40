import { isUtf8 } from "node:buffer";
import type { Socket } from "node:net";
import { type RawData, WebSocket } from "ws";
import { Connection, type ConnectionHandlers, type ConnectionNames, type Ending, type Failed, crlf, gather } from "./connection.ts";
import { isSipLike } from "../listen/datagram.ts";
import { framesPerMessageMax, goodbyeMs, lingerMs, unwrittenOctetsMax } from "../limits.ts";
import { MessageBoundary } from "./message-boundary.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { steadyNow } from "../steady-now.ts";

const crlfcrlf = 4;

/** What a WebSocket is closed with (RFC 6455 7.4.1), for each reason. */
const closeCodes: Readonly<Record<Ending, readonly [code: number, reason: string]>> = {
  registrar: [1000, "closed by the registrar"],
  useless: [1000, "idle, or in the middle of a message, for too long"],
  draining: [1012, "this gateway is taken out of service: connect to another one"],
  stopping: [1001, "this gateway stops: connect again"],
};

/** One softphone's WebSocket (RFC 7118): a message of it, text or binary, is one SIP message. Pings are answered by the library. */
export class WebSocketConnection extends Connection {
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  readonly #handlers: ConnectionHandlers;
  readonly #boundary = new MessageBoundary();

  constructor(names: ConnectionNames, webSocket: WebSocket, socket: Socket, handlers: ConnectionHandlers, now: SteadyMs) {
    super(names, now);
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#handlers = handlers;
    socket.on("data", (chunk: Uint8Array) => this.#follow(chunk));
    webSocket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    // A message that is too long, or frames against RFC 6455: the library says so to the other end, and waits for its answer.
    webSocket.on("error", () => {
      handlers.junk();
      this.#endAfter(lingerMs);
    });
    webSocket.on("close", () => handlers.closed(this, true));
  }

  /** RFC 7118 4.2: text where the message is UTF-8, binary otherwise. */
  override send(octets: Uint8Array, failed: Failed, now: SteadyMs): void {
    if (this.#webSocket.readyState !== WebSocket.OPEN) {
      failed();
    } else if (this.#webSocket.bufferedAmount + octets.length > unwrittenOctetsMax) {
      // As with a stream: it reads too slowly, or sleeps.
      this.#webSocket.terminate();
      failed();
    } else {
      this.activeAt = now;
      this.#write(octets, !isUtf8(octets));
    }
  }

  override close(ending: Ending): void {
    this.#webSocket.close(...closeCodes[ending]);
    this.#endAfter(ending === "stopping" ? goodbyeMs : lingerMs);
  }

  #follow(chunk: Uint8Array): void {
    this.received(this.#boundary.follow(chunk), steadyNow());
    // The library answers pings, also those of whoever does not read, and keeps a message's frames one by one.
    const isFlood = this.#boundary.frames > framesPerMessageMax || this.#socket.writableLength > unwrittenOctetsMax;
    if (isFlood) this.#webSocket.terminate();
  }

  #write(octets: Uint8Array, isBinary: boolean): void {
    gather(this.#socket);
    this.#webSocket.send(octets, { binary: isBinary });
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#webSocket.readyState !== WebSocket.OPEN || !(data instanceof Uint8Array)) return;
    if (data.length <= crlfcrlf && data.every((octet) => octet === 0x0d || octet === 0x0a)) {
      if (data.length < crlfcrlf) return;
      // RFC 5626 3.5.1, RFC 7118 6: answered at once.
      this.#handlers.keepAlive(this);
      this.#write(crlf, isBinary);
    } else if (isSipLike(data)) {
      this.#handlers.message(this, data);
    } else {
      this.#handlers.junk();
    }
  }

  /** Whoever does not answer a close must not keep the connection open. */
  #endAfter(ms: number): void {
    setTimeout(() => this.#webSocket.terminate(), ms).unref();
  }
}
