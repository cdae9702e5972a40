import { Backoff } from "./backoff.ts";
import type { ProcessPorts } from "./ports.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** Where a link goes: to the replica of an exchange in a cell, or to the cell's core group. */
export type CellTarget = {
  /** The cell's id in the map: what is signed for one cell no other one takes. */
  readonly cell: string;
  readonly url: string;
  readonly exchange: number | "control";
};

/** How a connection was lost, in the words that cells have for it. `another version`: there was none, and will be none until one of both is upgraded. */
export type Loss = "closed socket" | "connection refused" | "missed heartbeats" | "another version";

/** A WebSocket that is made, or is being made. */
export type CellConnection = {
  send(data: Uint8Array | string): void;
  /** Ends it in order: what was sent arrives. */
  close(): void;
  /** Ends it so that nothing that has not left arrives, not even at a process that is frozen now. */
  cut(): void;
};

/** What becomes of it. Nothing is told after {@link CellConnection.close} or `cut`. */
export type CellConnectionEvents = {
  opened(): void;
  binary(octets: Uint8Array): void;
  /** `pong` answers a ping. */
  text(text: string): void;
  /** It has ended, or could not be made. */
  lost(reason: string, loss: Loss): void;
};

export type ConnectToCell = (target: CellTarget, events: CellConnectionEvents) => CellConnection;

export type CellLinkHandlers = {
  opened(): void;
  binary(octets: Uint8Array): void;
  text(text: string): void;
  /** The connection was lost, or the first attempt since then failed; further failed attempts are not told, but that the cell has another version. */
  down(reason: string, loss: Loss): void;
};

/** A connection to a cell that is made anew whenever it is lost, and that notices when the other side is silent. */
export class CellLink {
  readonly #target: CellTarget;
  readonly #ports: ProcessPorts;
  readonly #handlers: CellLinkHandlers;
  readonly #backoff: Backoff;
  #connection: CellConnection | undefined;
  #isUp = false;
  #isStopped = false;
  #isDownTold = false;
  /** What was told last of the cell's version; empty: it was ours, or none was heard yet. */
  #versionTold = "";
  #pingsMissed = 0;
  /** When the last ping left, ms. */
  #pingedAt = 0;
  #signsOfLife = 0;
  /** When something last came, ms. */
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(target: CellTarget, ports: ProcessPorts, handlers: CellLinkHandlers) {
    this.#target = target;
    this.#ports = ports;
    this.#handlers = handlers;
    this.#backoff = new Backoff(() => this.start(), ports);
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Counts connections and all that came over them. */
  get signsOfLife(): number {
    return this.#signsOfLife;
  }

  /** When the cell last said something here, be it that its runtime answered a ping, ms. */
  get heardAt(): SteadyMs {
    return this.#heardAt;
  }

  /** Pings without an answer, the last one included. */
  get pingsMissed(): number {
    return this.#isUp ? this.#pingsMissed : 0;
  }

  /** Connects. */
  start(): void {
    this.#connection = this.#ports.connect(this.#target, {
      opened: () => this.#opened(),
      binary: (octets) => {
        this.#heard();
        this.#handlers.binary(octets);
      },
      text: (text) => {
        this.#heard();
        if (text !== "pong") this.#handlers.text(text);
      },
      lost: (reason, loss) => this.drop(reason, loss),
    });
  }

  /** Closes for good. */
  stop(): void {
    this.#isStopped = true;
    this.#backoff.stop();
    this.#forget()?.close();
  }

  /** Closes for good and at once: what has not left yet never does. */
  abandon(): void {
    this.#isStopped = true;
    this.#backoff.stop();
    this.#forget()?.cut();
  }

  /** Takes what comes until this connection ends, and makes no other one. False: there is none, and none will be. */
  leave(): boolean {
    if (!this.#isUp) this.abandon();
    this.#isStopped = true;
    this.#backoff.stop();
    return this.#isUp;
  }

  send(data: Uint8Array | string): void {
    if (this.#isUp) this.#connection?.send(data);
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
    this.#pingedAt = this.#ports.now();
    // Text: the runtime answers it by itself, and the object may sleep on.
    if (this.#isUp) this.#connection?.send("ping");
  }

  /** Between beats: gives up when enough pings are missed and the last of them had `answerMs` to be answered. */
  check(missedMax: number, answerMs: number, now: SteadyMs): void {
    if (this.#isUp && this.#pingsMissed >= missedMax && now - this.#pingedAt >= answerMs)
      this.drop(`missed ${this.#pingsMissed} pings`, "missed heartbeats");
  }

  /** This process stood still: answers to the pings so far may lie unread. */
  forgive(): void {
    this.#pingsMissed = 0;
  }

  /** There is reason to think that the cell is back: the next attempt need not wait. */
  hurry(): void {
    if (this.#connection === undefined && !this.#isStopped) this.#backoff.hurry();
  }

  /** Gives this connection up and makes another. */
  drop(reason: string, loss: Loss = "closed socket"): void {
    const connection = this.#forget();
    if (connection === undefined) return;
    connection.cut();
    const isNews = loss === "another version" && reason !== this.#versionTold;
    if (isNews) this.#versionTold = reason;
    if (!this.#isDownTold || isNews) {
      this.#isDownTold = true;
      this.#handlers.down(reason, loss);
    }
    if (!this.#isStopped) this.#backoff.retry();
  }

  #opened(): void {
    this.#isUp = true;
    this.#isDownTold = false;
    this.#versionTold = "";
    this.#pingsMissed = 0;
    this.#signsOfLife += 1;
    this.#handlers.opened();
  }

  #heard(): void {
    this.#pingsMissed = 0;
    this.#signsOfLife += 1;
    this.#heardAt = this.#ports.now();
    // Not when it opens: a cell that accepts and closes at once must not be asked in a tight loop.
    this.#backoff.succeeded();
  }

  #forget(): CellConnection | undefined {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#isUp = false;
    return connection;
  }
}
