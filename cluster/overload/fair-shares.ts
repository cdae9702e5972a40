import { shedRequestsMin, shedSourcesMax, shedWindowMs } from "../limits.ts";
import { groupOf } from "./source-groups.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Whose requests are refused when not all can be taken. All sources have the same bound (max-min fairness): who asks for less than it loses nothing, and
 * who asks for more is cut down to it. So one that asks for nearly everything loses nearly all of that, and the others nothing.
 */
export class FairShares {
  #windowStart: SteadyMs = 0;
  #now = new Map<string, number>();
  #before: ReadonlyMap<string, number> = new Map();
  /** Requests of a window that each source may have. */
  #bound = Number.POSITIVE_INFINITY;
  #share = 0;
  #asked = 0;
  #askedBefore = 0;
  #boundAt = Number.NEGATIVE_INFINITY;

  /** There are too many sources to count each for itself. */
  get isFull(): boolean {
    return this.#now.size >= shedSourcesMax;
  }

  /** A source asks. `isProved`: it is counted for itself however many there are. Returns with which probability it is taken when this share of all is refused. */
  asked(source: string, share: number, now: SteadyMs, isProved: boolean): number {
    this.#turn(now);
    const name = this.#nameOf(source, isProved);
    this.#now.set(name, (this.#now.get(name) ?? 0) + 1);
    this.#asked += 1;
    if (share === 0 || Math.max(this.#asked, this.#askedBefore) <= requestsMin) return 1;
    if (share !== this.#share || now - this.#boundAt >= shedWindowMs / 4) {
      this.#share = share;
      this.#boundAt = now;
      this.#bound = boundOf(this.#rates(now), share);
    }
    const rate = this.#rateOf(name, now);
    return rate <= this.#bound ? 1 : this.#bound / rate;
  }

  #nameOf(source: string, isProved: boolean): string {
    if (!this.isFull || isProved || this.#now.has(source)) return source;
    const group = groupOf(source);
    return this.#now.size < 2 * shedSourcesMax || this.#now.has(group) ? group : "";
  }

  #turn(now: SteadyMs): void {
    const passed = now - this.#windowStart;
    if (passed < shedWindowMs) return;
    this.#before = passed < 2 * shedWindowMs ? this.#now : new Map();
    this.#askedBefore = passed < 2 * shedWindowMs ? this.#asked : 0;
    this.#asked = 0;
    this.#now = new Map();
    this.#windowStart = now;
  }

  #rateOf(source: string, now: SteadyMs): number {
    const weight = 1 - Math.min(1, (now - this.#windowStart) / shedWindowMs);
    return (this.#now.get(source) ?? 0) + (this.#before.get(source) ?? 0) * weight;
  }

  #rates(now: SteadyMs): number[] {
    const rates: number[] = [];
    for (const source of this.#now.keys()) rates.push(this.#rateOf(source, now));
    for (const source of this.#before.keys()) if (!this.#now.has(source)) rates.push(this.#rateOf(source, now));
    return rates;
  }
}

/** In a window. */
const requestsMin = (shedRequestsMin * shedWindowMs) / 1_000;

/** The bound by which this share of all is cut off. */
function boundOf(rates: number[], share: number): number {
  rates.sort((left, right) => left - right);
  let left = rates.reduce((sum, rate) => sum + rate, 0) * (1 - share);
  for (const [index, rate] of rates.entries()) {
    const each = left / (rates.length - index);
    if (rate > each) return each;
    left -= rate;
  }
  return Number.POSITIVE_INFINITY;
}
