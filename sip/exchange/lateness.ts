import { readLateKnownMs, readLateMsMax, readLateMsMin } from "../limits.ts";

/**
 * How old what this replica reads is: on a machine that is starved answers wait in sockets, unread, while timers ring. A timer that says "nobody
 * has answered" would say everything again to phones that have, and each copy and each answer to it makes the replica later. So timers ring by the time
 * at which what is being read was sent.
 */
export class Lateness {
  #ms = 0;
  #measuredAt = 0;

  /** An answer has been read so long after its question. */
  measured(roundTripMs: number, now: number): void {
    this.#ms = roundTripMs < readLateMsMin ? 0 : Math.min(roundTripMs, readLateMsMax);
    this.#measuredAt = now;
  }

  /** As last measured, ms. */
  get ms(): number {
    return this.#ms;
  }

  /** The time up to which silence is silence, ms. */
  readUntil(now: number): number {
    if (this.#ms > 0 && now - this.#measuredAt > Math.max(readLateKnownMs, this.#ms)) this.#ms = 0;
    return now - this.#ms;
  }
}
