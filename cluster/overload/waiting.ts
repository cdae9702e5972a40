import { shortestKnownMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * How long frames wait for a replica to read them. What is measured is the way there and back, and what the pair takes for a commit between; the least
 * of that which was seen lately is taken off. What is left is a queue.
 */
export class Waiting {
  #latestMs: number | undefined;
  #shortestNow = Number.POSITIVE_INFINITY;
  #shortestBefore = Number.POSITIVE_INFINITY;
  #turnedAt: SteadyMs = 0;

  /** A frame was acknowledged, so many ms after it had left. */
  acknowledged(roundTripMs: number, now: SteadyMs): void {
    if (now - this.#turnedAt >= shortestKnownMs) {
      this.#shortestBefore = this.#shortestNow;
      this.#shortestNow = Number.POSITIVE_INFINITY;
      this.#turnedAt = now;
    }
    this.#shortestNow = Math.min(this.#shortestNow, roundTripMs);
    this.#latestMs = Math.min(this.#latestMs ?? Number.POSITIVE_INFINITY, roundTripMs);
  }

  /** The least since it was asked last, ms; undefined: nothing was acknowledged. */
  take(): number | undefined {
    const latest = this.#latestMs;
    this.#latestMs = undefined;
    return latest === undefined ? undefined : latest - Math.min(this.#shortestNow, this.#shortestBefore);
  }
}
