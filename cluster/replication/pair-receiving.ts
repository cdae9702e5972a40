import { pairSyncMs, pairSyncMsMax } from "../limits.ts";
import type { PairBatch } from "./pair-batch.ts";

/** What a replica has of its pair, and how long one that has started waits for the rest. */
export class PairReceiving {
  /** Of the pair's present start: everything up to here, and where it has said that it is. */
  #received = 0;
  #owed = 0;
  /** When the pair last told us something, or the latest batch left that it has answered. */
  #toldAt = Number.NEGATIVE_INFINITY;
  /** That everything is known was said last. */
  #isKnown = false;
  #startedAt: number;
  #syncUntil: number;

  constructor(now: number) {
    this.#startedAt = now;
    this.#syncUntil = now + pairSyncMs;
  }

  get received(): number {
    return this.#received;
  }

  /** Until when a replica that has started waits to be told everything. */
  get syncUntil(): number {
    return this.#syncUntil;
  }

  /** A start of the pair that was not known: we have nothing of it. */
  meet(): void {
    this.#received = 0;
    this.#owed = 0;
  }

  /** False: the batch is for an earlier start of ours, or there is a gap before it, and its records do not count. */
  take(batch: PairBatch, boot: string, now: number): boolean {
    if (batch.peerBoot !== boot || batch.after > this.#received) return false;
    this.#received = Math.max(this.#received, batch.sequence);
    this.#toldAt = now;
    return true;
  }

  /** The pair has answered a batch that left at this time. */
  heard(sentAt: number): void {
    this.#toldAt = Math.max(this.#toldAt, sentAt);
  }

  /** The pair is ahead of us up to here. */
  owes(ahead: number): void {
    this.#owed = Math.max(this.#owed, ahead);
  }

  /** More of the pair's table is to come. */
  waitForMore(now: number): void {
    this.#syncUntil = Math.min(now + pairSyncMs, this.#startedAt + pairSyncMsMax);
  }

  /** The pair may be gone: one answer's time is given to one that may be there after all. */
  waitNoLongerThan(until: number): void {
    this.#syncUntil = Math.min(this.#syncUntil, until);
  }

  /**
   * Until when everything is known that the pair has made, `Infinity`: and it goes on so; undefined: nothing has changed in that. That the pair
   * has everything of ours (`isTogether`) does not say that we have everything of its.
   */
  takeKnown(isTogether: boolean): number | undefined {
    if (isTogether ? this.#isKnown || this.#received < this.#owed : !this.#isKnown) return undefined;
    this.#isKnown = isTogether;
    return isTogether ? Number.POSITIVE_INFINITY : this.#toldAt;
  }

  /** The clock was set back by so much. */
  setBack(ms: number): void {
    this.#startedAt -= ms;
    this.#syncUntil -= ms;
    this.#toldAt -= ms;
  }
}
