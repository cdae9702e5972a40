import { peerSyncMs, peerSyncMsMax } from "../limits.ts";
import type { PeerBatch } from "./peer-batch.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** What a replica has of its peer, and how long one that has started waits for the rest. */
export class ReceivingSide {
  /** Of the peer's present start: everything up to here, and where it has said that it is. */
  #received = 0;
  #owed = 0;
  /** When the peer last told us something, or the latest batch left that it has answered. */
  #toldAt = Number.NEGATIVE_INFINITY;
  /** That everything is known was said last. */
  #isKnown = false;
  readonly #startedAt: SteadyMs;
  #syncUntil: SteadyMs;

  constructor(now: SteadyMs) {
    this.#startedAt = now;
    this.#syncUntil = now + peerSyncMs;
  }

  get received(): number {
    return this.#received;
  }

  /** Until when a replica that has started waits to be told everything. */
  get syncUntil(): number {
    return this.#syncUntil;
  }

  /** A start of the peer that was not known: we have nothing of it. */
  meet(): void {
    this.#received = 0;
    this.#owed = 0;
  }

  /** False: the batch is for an earlier start of ours, or there is a gap before it, and its records do not count. */
  take(batch: PeerBatch, boot: string, now: SteadyMs): boolean {
    if (batch.peerBoot !== boot || batch.after > this.#received) return false;
    this.#received = Math.max(this.#received, batch.sequence);
    this.#toldAt = now;
    return true;
  }

  /** The peer has answered a batch that left at this time. */
  heard(sentAt: SteadyMs): void {
    this.#toldAt = Math.max(this.#toldAt, sentAt);
  }

  /** The peer is ahead of us up to here. */
  owes(ahead: number): void {
    this.#owed = Math.max(this.#owed, ahead);
  }

  /** More of the peer's table is to come. */
  waitForMore(now: SteadyMs): void {
    this.#syncUntil = Math.min(now + peerSyncMs, this.#startedAt + peerSyncMsMax);
  }

  /** The peer may be gone: one answer's time is given to one that may be there after all. */
  waitNoLongerThan(until: SteadyMs): void {
    this.#syncUntil = Math.min(this.#syncUntil, until);
  }

  /**
   * Until when everything is known that the peer has made, `Infinity`: and it goes on so; undefined: nothing has changed in that. That the peer
   * has everything of ours (`isTogether`) does not say that we have everything of its.
   */
  takeKnown(isTogether: boolean): SteadyMs | undefined {
    if (isTogether ? this.#isKnown || this.#received < this.#owed : !this.#isKnown) return undefined;
    this.#isKnown = isTogether;
    return isTogether ? Number.POSITIVE_INFINITY : this.#toldAt;
  }
}
