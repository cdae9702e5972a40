import { RecordKind, recordOctets, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import type { Kept } from "../../cluster/backhaul/kept.ts";

/**
 * What a line has said to the replica in its cell, and what nobody else may know of yet. That replica answers at once, before the other one has heard. If it
 * starts anew meanwhile, the line lives on and says this again (docs/decisions/0031-a-gateway-is-a-second-memory.md).
 */
export class Unkept {
  readonly #max: number;
  readonly #octetsMax: number;
  /** The oldest first. */
  #records: FrameRecord[] = [];
  /** What all of them are on the wire, as the link's queue counts. */
  #octets = 0;
  /** How many were offered before the first of these. */
  #before = 0;
  /** How many were offered before those that the replica counts. */
  #countedFrom = 0;
  #boot: string | undefined;
  /** Those that were said again: not for a third time, for they may be what the replica dies of. */
  readonly #again = new WeakSet<FrameRecord>();

  /** `octetsMax`: at least what the link's queue holds at most, which are those that nobody has answered for. */
  constructor(max: number, octetsMax: number) {
    this.#max = max;
    this.#octetsMax = octetsMax;
  }

  get isEmpty(): boolean {
    return this.#records.length === 0;
  }

  get octets(): number {
    return this.#octets;
  }

  /**
   * A record has been offered. `settled`: so many were answered for by then. Of those the oldest are forgotten over the limits: the replica has them, and only
   * its death within moments would lose them. What nobody has answered for stays. It counts in both limits, and the link's queue bounds it: over that,
   * nothing is offered.
   */
  offered(record: FrameRecord, settled: number): void {
    this.#records.push(record);
    this.#octets += octetsOf(record);
    let count = this.#records.length;
    let octets = this.#octets;
    let over = 0;
    while ((count > this.#max || octets > this.#octetsMax) && this.#before + over < settled) {
      const oldest = this.#records[over];
      if (oldest === undefined) break;
      octets -= octetsOf(oldest);
      count -= 1;
      over += 1;
    }
    if (over > 0) this.#forget(this.#before + over);
  }

  /** A connection begins: what is offered from now on counts. */
  connected(settled: number): void {
    this.#countedFrom = settled;
  }

  /** The replica says what is kept. Returns what it has lost, because it has started anew since it answered for it. `settled`: so many it had answered for before. */
  told({ boot, count }: Kept, settled: number): FrameRecord[] {
    const isAnew = this.#boot !== undefined && this.#boot !== boot;
    this.#boot = boot;
    const lost = isAnew ? this.#forget(settled) : [];
    if (isAnew) this.#countedFrom = Math.max(settled, this.#before);
    this.#forget(this.#countedFrom + count);
    return this.#onceMore(lost, true);
  }

  /** The replica says nothing of this: what it has answered for counts as kept. */
  believe(settled: number): void {
    this.#forget(settled);
  }

  /** The replica cannot be reached: all that it may not have kept, in order, is forgotten here. `settled`: as in {@link told}. */
  takeAll(settled: number): FrameRecord[] {
    const answered = this.#onceMore(this.#forget(settled), true);
    return [...answered, ...this.#onceMore(this.#forget(Number.POSITIVE_INFINITY), false)];
  }

  /** Forgets what was offered before so many others were. */
  #forget(offered: number): FrameRecord[] {
    const gone = this.#records.splice(0, Math.max(0, offered - this.#before));
    this.#before += gone.length;
    for (const record of gone) this.#octets -= octetsOf(record);
    return gone;
  }

  #onceMore(records: readonly FrameRecord[], isAnswered: boolean): FrameRecord[] {
    return records.filter((record) => {
      // A takeover has been told when it is answered: what was taken over is on record.
      if (record.kind === RecordKind.kept || (isAnswered && record.kind === RecordKind.takeover) || this.#again.has(record)) return false;
      this.#again.add(record);
      return true;
    });
  }
}

function octetsOf({ key, octets }: FrameRecord): number {
  return recordOctets(key, octets);
}
