import { frameOctetsMax } from "../sip/limits.ts";
import { type FrameRecord, type Hello, RecordKind, jsonOctets } from "../sip/transport/frame.ts";
import { Trunk } from "../sip/transport/trunk.ts";
import { CellSocket } from "./cell-socket.ts";
import type { Counters } from "./counters.ts";
import { answerTimeoutMs } from "./limits.ts";
import type { Log } from "./log.ts";

export type TrunkLinkOptions = {
  readonly exchange: number;
  readonly cell: { readonly id: string; readonly url: string };
  readonly gateway: string;
  readonly secret: string;
  readonly hello: Hello;
  readonly counters: Counters;
  readonly log: Log;
};

export type TrunkLinkHandlers = {
  /** Records arrived from the exchange. */
  receive(link: TrunkLink, records: readonly FrameRecord[]): void;
  /** Something may be due: flush at the end of this turn. */
  dirty(link: TrunkLink): void;
};

/** One trunk: the WebSocket to one replica of one exchange, and what waits to go over it. */
export class TrunkLink {
  readonly exchange: number;
  readonly cell: string;
  readonly url: string;
  readonly #options: TrunkLinkOptions;
  readonly #handlers: TrunkLinkHandlers;
  readonly #trunk = new Trunk();
  readonly #socket: CellSocket;
  #isStopped = false;
  /** Since when there is no connection, ms; undefined while there is one. */
  #downSince: number | undefined;
  #deadlineTimer: NodeJS.Timeout | undefined;

  constructor(options: TrunkLinkOptions, handlers: TrunkLinkHandlers) {
    const { exchange, cell, gateway, secret } = options;
    this.#options = options;
    this.#handlers = handlers;
    this.exchange = exchange;
    this.cell = cell.id;
    this.url = cell.url;
    this.#socket = new CellSocket(
      {
        cellUrl: cell.url,
        path: `/trunk/${exchange}`,
        purpose: `trunk ${exchange}`,
        gateway,
        secret,
        octetsMax: frameOctetsMax,
      },
      { opened: () => this.#opened(), binary: (octets) => this.#received(octets), text: () => {}, down: (reason) => this.#down(reason) },
    );
  }

  get isUp(): boolean {
    return this.#socket.isUp;
  }

  /** How long there has been no connection, ms; 0 while there is one. */
  downFor(now: number): number {
    return this.#downSince === undefined || this.isUp ? 0 : now - this.#downSince;
  }

  start(now: number): void {
    this.#downSince = now;
    this.#socket.start();
  }

  /** Closes for good. What nobody acknowledged is returned. */
  stop(): FrameRecord[] {
    this.#isStopped = true;
    clearTimeout(this.#deadlineTimer);
    this.#socket.stop();
    this.#trunk.disconnect();
    return this.#trunk.takeUnacknowledged();
  }

  /** Takes a record to send, now or when the trunk is back. False when it holds too much already. */
  offer(record: FrameRecord, now: number): boolean {
    if (this.#isStopped || !this.#trunk.offer(record, now)) return false;
    this.#handlers.dirty(this);
    return true;
  }

  /** Sends what is due, and comes back when more will be. */
  flush(now: number): void {
    if (!this.isUp) return;
    for (const frame of this.#trunk.tick(now)) this.#send(frame);
    const deadline = this.#trunk.nextDeadline();
    if (deadline === undefined || this.#deadlineTimer !== undefined) return;
    const timer = (): void => {
      this.#deadlineTimer = undefined;
      this.flush(Date.now());
    };
    this.#deadlineTimer = setTimeout(timer, Math.max(1, deadline - now));
  }

  /** Gives up on what was offered before `time`, if there is no connection. */
  takeOfferedBefore(time: number): FrameRecord[] {
    return this.isUp ? [] : this.#trunk.takeOfferedBefore(time);
  }

  /** One beat of the heart. */
  beat(missedMax: number, now: number): void {
    const since = this.#trunk.unansweredSince;
    if (this.isUp && since !== undefined && now - since > answerTimeoutMs) {
      this.#socket.drop(`a frame is unanswered for ${now - since} ms`);
    } else if (this.isUp && this.#trunk.isSpent) {
      this.#socket.drop("sequence numbers are used up");
    } else {
      this.#socket.beat(missedMax);
    }
  }

  #opened(): void {
    const now = Date.now();
    const { gateway, hello, log } = this.#options;
    this.#downSince = undefined;
    log("trunk-up", { exchange: this.exchange, cell: this.cell });
    for (const frame of this.#trunk.connect({ kind: RecordKind.hello, key: gateway, octets: jsonOctets(hello) }, now)) this.#send(frame);
    this.flush(now);
  }

  #received(octets: Uint8Array): void {
    this.#options.counters.framesIn += 1;
    const records = this.#trunk.receive(octets);
    if ("frameError" in records) {
      this.#socket.drop(`a frame that is none: ${records.frameError}`);
      return;
    }
    if (records.length > 0) this.#handlers.receive(this, records);
    this.#handlers.dirty(this);
  }

  #send(frame: Uint8Array): void {
    this.#options.counters.framesOut += 1;
    this.#socket.send(frame);
  }

  #down(reason: string): void {
    this.#downSince ??= Date.now();
    this.#trunk.disconnect();
    this.#options.counters.trunkFailures += 1;
    this.#options.log("trunk-down", { exchange: this.exchange, cell: this.cell, reason });
  }
}
