import type { FrameRecord } from "../../cluster/backhaul/frame.ts";
import { jsonOctets, RecordKind } from "../../cluster/backhaul/frame.ts";
import { Backhaul } from "../../cluster/backhaul/backhaul.ts";
import { keptQuestion, parseKept } from "../../cluster/backhaul/kept.ts";
import { keptAskMs, unkeptOctetsMax, unkeptRecordsMax } from "../limits.ts";
import type { MakeTimer, Timer } from "../timer.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { Unkept } from "./unkept.ts";

/** How a call to a replica ended: with the frame that it answers, or with why it cannot be reached. */
export type CallOutcome = Uint8Array | Error;

/** How a link reaches its replica, and whom it tells. */
export type LinkOptions = {
  /** The line's access name. */
  readonly access: string;
  readonly now: () => SteadyMs;
  readonly timer: MakeTimer;
  /** Brings a frame to the replica. */
  readonly call: (frame: Uint8Array, over: (outcome: CallOutcome) => void) => void;
  /** Calls overtake each other: one at a time. Within a cell they do not. */
  readonly isUnordered: boolean;
  /** What the replica has for this line. */
  readonly received: (records: readonly FrameRecord[]) => void;
  /** The replica cannot be reached: all that it has not acknowledged, in order. */
  readonly failed: (records: readonly FrameRecord[], reason: Error) => void;
};

type Outgoing = { readonly frame: Uint8Array; readonly connection: number };

/**
 * A line's way to one replica of one exchange: the backhaul of a gateway, with calls in the place of a WebSocket. Every call carries a
 * frame and its answer acknowledges it.
 */
export class ExchangeLink {
  readonly #options: LinkOptions;
  readonly #backhaul = new Backhaul();
  readonly #timer: Timer;
  /** Counts connections: what an earlier one's calls answer late counts no more. */
  #connection = 0;
  /** Frames of an unordered link: the first is under way. */
  readonly #queue: Outgoing[] = [];
  /** What the replica of this cell has answered at once; undefined: one of another cell answers when its peer knows as well. */
  readonly #unkept: Unkept | undefined;
  /** Asks for what is kept when nothing else does. */
  readonly #askTimer: Timer;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#timer = options.timer(() => this.#flush());
    this.#unkept = options.isUnordered ? undefined : new Unkept(unkeptRecordsMax, unkeptOctetsMax);
    this.#askTimer = options.timer(() => this.#ask());
  }

  /** How many records it has been offered, and how many of those are off its hands. */
  get offered(): number {
    return this.#backhaul.offered;
  }

  get settled(): number {
    return this.#backhaul.settled;
  }

  /** How long frames wait to be read by the replica: see {@link Backhaul.takeWaitingMs}. */
  takeWaitingMs(): number | undefined {
    // Calls within a cell, and to others, have no pings beside them that would tell.
    return this.#backhaul.takeWaitingMs(Number.NEGATIVE_INFINITY);
  }

  /** Octets of records that wait here or are unacknowledged. */
  get octetsHeld(): number {
    return this.#backhaul.octetsHeld;
  }

  /** Takes a record; it leaves at once, or together with others a little later. False: too much waits here already. */
  offer(record: FrameRecord, now: SteadyMs): boolean {
    const { settled } = this.#backhaul;
    if (!this.#backhaul.offer(record, now)) return false;
    if (!this.#backhaul.isConnected) {
      this.#connection += 1;
      this.#unkept?.connected(settled);
      const hello = { kind: RecordKind.hello, key: this.#options.access, octets: jsonOctets({ boot: "", listeners: [] }) };
      for (const frame of this.#backhaul.connect(hello, now)) this.#send(frame);
    }
    this.#unkept?.offered(record, settled);
    this.#flush();
    return true;
  }

  #flush(): void {
    const now = this.#options.now();
    for (const frame of this.#backhaul.tick(now)) this.#send(frame);
    const deadline = this.#backhaul.nextDeadline();
    if (deadline === undefined) this.#timer.clear();
    else this.#timer.set(Math.max(1, deadline - now));
  }

  #send(frame: Uint8Array): void {
    if (!this.#options.isUnordered) return this.#call(frame, this.#connection);
    this.#queue.push({ frame, connection: this.#connection });
    if (this.#queue.length === 1) this.#callNext();
  }

  #call(frame: Uint8Array, connection: number): void {
    this.#options.call(frame, (outcome) => this.#over(outcome, connection));
  }

  /** The first of the queue stays in it as long as it is under way. Those of an earlier connection are forgotten. */
  #callNext(): void {
    while (this.#queue[0] !== undefined && this.#queue[0].connection !== this.#connection) this.#queue.shift();
    const next = this.#queue[0];
    if (next === undefined) return;
    this.#options.call(next.frame, (outcome) => {
      this.#over(outcome, next.connection);
      this.#queue.shift();
      this.#callNext();
    });
  }

  #over(outcome: CallOutcome, connection: number): void {
    if (connection !== this.#connection) return;
    if (outcome instanceof Error) return this.#fail(outcome);
    const { settled } = this.#backhaul;
    const records = this.#backhaul.receive(outcome, this.#options.now());
    if ("frameError" in records) return this.#fail(new Error(records.frameError));
    this.#options.received(records);
    if (this.#unkept !== undefined) this.#look(this.#unkept, records, settled);
    this.#flush();
  }

  /** What the replica has lost is said again. `settled`: for so many records it had answered before. */
  #look(unkept: Unkept, records: readonly FrameRecord[], settled: number): void {
    const kept = records[0] === undefined ? undefined : parseKept(records[0]);
    // One of an earlier version does not say: it is believed.
    if (kept === undefined) unkept.believe(this.#backhaul.settled);
    else for (const record of unkept.told(kept, settled)) this.offer(record, this.#options.now());
    if (unkept.isEmpty) this.#askTimer.clear();
    else this.#askTimer.set(keptAskMs);
  }

  #ask(): void {
    if (this.#unkept?.isEmpty === false) this.offer(keptQuestion, this.#options.now());
  }

  #fail(reason: Error): void {
    this.#connection += 1;
    this.#timer.clear();
    this.#askTimer.clear();
    this.#backhaul.disconnect();
    const { settled } = this.#backhaul;
    const unacknowledged = this.#backhaul.takeUnacknowledged();
    this.#options.failed(this.#unkept?.takeAll(settled) ?? unacknowledged, reason);
  }
}
