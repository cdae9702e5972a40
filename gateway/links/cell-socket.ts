import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { WebSocket } from "ws";
import { otherVersionOf, otherVersionText, protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { Backoff } from "./backoff.ts";
import { cellAuthorization, cellSocketUrl } from "./cell-authorization.ts";
import { handshakeTimeoutMs } from "../limits.ts";

export type CellSocketOptions = {
  /** Its id in the map: what is signed for one cell no other one takes. */
  readonly cell: string;
  readonly cellUrl: string;
  readonly path: string;
  /** What the signature is for, see {@link cellAuthorization}. */
  readonly purpose: string;
  readonly gateway: string;
  readonly secret: string;
  /** Octets of one incoming message. */
  readonly octetsMax: number;
};

/** A cell closes so what a newer connection of the same name has replaced; this gateway has made none. */
const replacedCode = 4001;

/** How a connection was lost, in the words that cells have for it. `another version`: there was none, and will be none until one of both is upgraded. */
export type Loss = "closed socket" | "connection refused" | "missed heartbeats" | "another version";

export type CellSocketHandlers = {
  opened(): void;
  binary(octets: Uint8Array): void;
  text(text: string): void;
  /** The connection was lost, or the first attempt since then failed; further failed attempts are not told, but that the cell has another version. */
  down(reason: string, loss: Loss): void;
};

/** A WebSocket to a cell that is made anew whenever it is lost, and that notices when the other side is silent. */
export class CellSocket {
  readonly #options: CellSocketOptions;
  readonly #handlers: CellSocketHandlers;
  readonly #backoff = new Backoff(() => this.#connect());
  #socket: WebSocket | undefined;
  #stream: Socket | undefined;
  #isUp = false;
  #isStopped = false;
  #isDownTold = false;
  /** What was told last of the cell's version; empty: it was ours, or none was heard yet. */
  #versionTold = "";
  #pingsMissed = 0;
  /** When the last ping left, ms. */
  #pingedAt = 0;
  #signsOfLife = 0;

  constructor(options: CellSocketOptions, handlers: CellSocketHandlers) {
    this.#options = options;
    this.#handlers = handlers;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Counts connections and all that came over them. */
  get signsOfLife(): number {
    return this.#signsOfLife;
  }

  /** Pings without an answer, the last one included. */
  get pingsMissed(): number {
    return this.#isUp ? this.#pingsMissed : 0;
  }

  start(): void {
    this.#connect();
  }

  /** Closes for good. */
  stop(): void {
    this.#isStopped = true;
    this.#backoff.stop();
    const socket = this.#forget();
    if (socket?.readyState !== WebSocket.OPEN) {
      socket?.terminate();
      return;
    }
    socket.close(1001);
    setTimeout(() => socket.terminate(), 300).unref();
  }

  /** Closes for good and at once: what has not left yet never does. */
  abandon(): void {
    this.#isStopped = true;
    this.#backoff.stop();
    this.#cut();
  }

  send(data: Uint8Array | string): void {
    if (this.#isUp) this.#socket?.send(data);
  }

  /** One beat of the heart: counts pings without answer, gives up after so many, sends the next. */
  beat(missedMax: number): void {
    if (!this.#isUp) return;
    if (this.#pingsMissed >= missedMax) {
      this.drop(`missed ${this.#pingsMissed} pings`, "missed heartbeats");
      return;
    }
    this.#pingsMissed += 1;
    this.ping();
  }

  ping(): void {
    this.#pingedAt = Date.now();
    // Text: the runtime answers it by itself, and the object may sleep on.
    if (this.#isUp) this.#socket?.send("ping");
  }

  /** Between beats: gives up when enough pings are missed and the last of them had `answerMs` to be answered. */
  check(missedMax: number, answerMs: number, now: number): void {
    if (this.#isUp && this.#pingsMissed >= missedMax && now - this.#pingedAt >= answerMs)
      this.drop(`missed ${this.#pingsMissed} pings`, "missed heartbeats");
  }

  /** This process stood still: answers to the pings so far may lie unread. */
  forgive(): void {
    this.#pingsMissed = 0;
  }

  /** There is reason to think that the cell is back: the next attempt need not wait. */
  hurry(): void {
    if (this.#socket === undefined && !this.#isStopped) this.#backoff.hurry();
  }

  /** Gives this connection up and makes another. */
  drop(reason: string, loss: Loss = "closed socket"): void {
    if (!this.#cut()) return;
    const isNews = loss === "another version" && reason !== this.#versionTold;
    if (isNews) this.#versionTold = reason;
    if (!this.#isDownTold || isNews) {
      this.#isDownTold = true;
      this.#handlers.down(reason, loss);
    }
    if (!this.#isStopped) this.#backoff.retry();
  }

  #connect(): void {
    const { cell, cellUrl, path, purpose, gateway, secret, octetsMax } = this.#options;
    const url = new URL(cellSocketUrl(cellUrl, path));
    const signed = { purpose, gateway, cell, path: url.pathname + url.search };
    const socket = new WebSocket(url, {
      headers: { authorization: cellAuthorization(secret, signed, Date.now()), [versionHeader]: String(protocolVersion) },
      handshakeTimeout: handshakeTimeoutMs,
      maxPayload: octetsMax,
      perMessageDeflate: false,
      skipUTF8Validation: true,
    });
    this.#socket = socket;
    socket.on("upgrade", (response) => {
      this.#stream = response.socket;
      this.#refuseOtherVersion(response);
    });
    socket.on("unexpected-response", (request, response) => {
      request.destroy();
      if (!this.#refuseOtherVersion(response)) this.drop(refusalText(response.statusCode ?? 0), "missed heartbeats");
    });
    socket.on("open", () => {
      this.#isUp = true;
      this.#isDownTold = false;
      this.#versionTold = "";
      this.#pingsMissed = 0;
      this.#signsOfLife += 1;
      this.#handlers.opened();
    });
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      this.#pingsMissed = 0;
      this.#signsOfLife += 1;
      // Not when it opens: a cell that accepts and closes at once must not be asked in a tight loop.
      this.#backoff.succeeded();
      if (isBinary) this.#handlers.binary(data);
      else if (data.length !== 4 || data.toString("latin1") !== "pong") this.#handlers.text(data.toString("utf8"));
    });
    socket.on("close", (code) => this.drop(code === replacedCode ? "another gateway has this name" : `closed with ${code}`));
    // A close follows every error; the first reason is the one that tells.
    socket.on("error", (error) => this.drop(error.message, this.#isUp ? "closed socket" : lossOf(error)));
  }

  /** True: the cell that answered speaks another version, and this connection is given up. */
  #refuseOtherVersion({ statusCode, headers }: IncomingMessage): boolean {
    const { cell, gateway } = this.#options;
    const said = headers[versionHeader];
    const theirs = otherVersionOf(statusCode ?? 0, Array.isArray(said) ? said[0] : said);
    if (theirs === undefined) return false;
    this.drop(otherVersionText(`cell ${cell}`, theirs, `gateway ${gateway}`), "another version");
    return true;
  }

  /**
   * Ends the connection with a reset: a close would first deliver what waits in the kernel, to a frozen process even minutes later, and by
   * then it has gone elsewhere. TLS cannot be reset this way; it is destroyed. False: there was none.
   */
  #cut(): boolean {
    const stream = this.#stream;
    const socket = this.#forget();
    if (stream !== undefined && !(stream instanceof TLSSocket)) stream.resetAndDestroy();
    socket?.terminate();
    return socket !== undefined;
  }

  #forget(): WebSocket | undefined {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#stream = undefined;
    this.#isUp = false;
    if (socket === undefined) return undefined;
    socket.removeAllListeners();
    // Ending a socket that is still connecting makes an error event, which must find a listener.
    socket.on("error", () => {});
    return socket;
  }
}

function refusalText(status: number): string {
  return status === 401 ? "the cell does not accept this secret, or the clocks differ by more than 30 s" : `the cell answered ${status}`;
}

/** Why there was no connection to be had. Whoever does not answer may be frozen. */
function lossOf(error: Error): Loss {
  return "code" in error && error.code === "ECONNREFUSED" ? "connection refused" : "missed heartbeats";
}
