import { answerMarginMs, answerMsMax } from "../limits.ts";

/** Parts of what is known that a new measurement counts for (RFC 6298 2.3). */
const newMeanPart = 1 / 8;
const newVariationPart = 1 / 4;

/**
 * How long the peer takes to answer, and how long its answer is waited for before it counts as late: as TCP waits for an acknowledgement (RFC 6298 2). That is
 * the mean and four times the variation, or a margin, between two bounds. So a peer nearby is found silent as fast as the map says, and one far away is not taken for late.
 *
 * Unlike there, an answer that took less than half of the mean begins anew. What came before it was held up by somebody: code that was compiled, a machine that
 * was busy. The distance is not more than what the latest answer took.
 */
export class RoundTrip {
  /** Undefined: nothing has been measured. */
  #meanMs: number | undefined;
  #variationMs = 0;

  /** The mean; undefined: nothing has been measured. */
  get meanMs(): number | undefined {
    return this.#meanMs;
  }

  /** An answer took so long. One that nobody would have waited for tells of a standstill, and of no distance. */
  took(ms: number): void {
    if (ms > answerMsMax) return;
    const mean = this.#meanMs;
    if (mean === undefined || ms < mean / 2) {
      this.#meanMs = ms;
      this.#variationMs = ms / 2;
      return;
    }
    this.#variationMs += (Math.abs(mean - ms) - this.#variationMs) * newVariationPart;
    this.#meanMs = mean + (ms - mean) * newMeanPart;
  }

  /** How long an answer is waited for. `leastMs`: what the map says; nothing is waited for less long. */
  timeoutMs(leastMs: number): number {
    const mean = this.#meanMs;
    if (mean === undefined) return leastMs;
    return Math.max(leastMs, Math.min(Math.ceil(mean + Math.max(4 * this.#variationMs, answerMarginMs)), answerMsMax));
  }
}
