import type { FrameRecord } from "../../cluster/backhaul/frame.ts";
import { jsonOctets, RecordKind } from "../../cluster/backhaul/frame.ts";
import { Backhaul } from "../../cluster/backhaul/backhaul.ts";
import { warnOf } from "../way-lost.ts";

/** How a link reaches its replica, and whom it tells. */
export type LinkOptions = {
  /** The line's access name. */
  readonly access: string;
  /** Brings a frame to the replica; the frame that it answers. Rejects when the replica cannot be reached. */
  readonly call: (frame: Uint8Array) => Promise<Uint8Array>;
  /** Calls overtake each other: one at a time. Within a cell they do not. */
  readonly isUnordered: boolean;
  /** What the replica has for this line. */
  readonly received: (records: readonly FrameRecord[]) => void;
  /** The replica cannot be reached: all that it has not acknowledged, in order. */
  readonly failed: (records: readonly FrameRecord[]) => void;
};

/**
 * A line's way to one replica of one exchange: the backhaul of a gateway, with calls in the place of a WebSocket. Every call carries a
 * frame and its answer acknowledges it.
 */
export class ExchangeLink {
  readonly #options: LinkOptions;
  readonly #backhaul = new Backhaul();
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** Counts connections: what an earlier one's calls answer late counts no more. */
  #connection = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** How many records it has been offered, and how many of those are off its hands. */
  get offered(): number {
    return this.#backhaul.offered;
  }

  get settled(): number {
    return this.#backhaul.settled;
  }

  /** Takes a record; it leaves at once, or together with others a little later. False: too much waits here already. */
  offer(record: FrameRecord, now: number): boolean {
    if (!this.#backhaul.offer(record, now)) return false;
    if (!this.#backhaul.isConnected) {
      this.#connection += 1;
      const hello = { kind: RecordKind.hello, key: this.#options.access, octets: jsonOctets({ boot: "", listeners: [] }) };
      for (const frame of this.#backhaul.connect(hello, now)) void this.#send(frame);
    }
    this.#flush();
    return true;
  }

  #flush(): void {
    const now = Date.now();
    for (const frame of this.#backhaul.tick(now)) void this.#send(frame);
    clearTimeout(this.#timer);
    const deadline = this.#backhaul.nextDeadline();
    this.#timer = deadline === undefined ? null : setTimeout(() => this.#flush(), Math.max(1, deadline - now));
  }

  async #send(frame: Uint8Array): Promise<void> {
    const connection = this.#connection;
    try {
      const call = this.#options.isUnordered ? this.#afterLast(frame, connection) : this.#options.call(frame);
      const answer = await call;
      if (answer === undefined || connection !== this.#connection) return;
      const records = this.#backhaul.receive(answer, Date.now());
      if ("frameError" in records) throw new Error(records.frameError);
      this.#options.received(records);
      this.#flush();
    } catch (error) {
      if (connection === this.#connection) this.#fail(error);
    }
  }

  #afterLast(frame: Uint8Array, connection: number): Promise<Uint8Array | undefined> {
    const call = this.#last.then(() => (connection === this.#connection ? this.#options.call(frame) : undefined));
    this.#last = call.catch(() => undefined);
    return call;
  }

  #fail(error: unknown): void {
    warnOf(`line ${this.#options.access}`, error);
    this.#connection += 1;
    clearTimeout(this.#timer);
    this.#backhaul.disconnect();
    this.#options.failed(this.#backhaul.takeUnacknowledged());
  }
}
