import { shedRequestsMin, shedSourcesMax, shedWindowMs } from "../limits.ts";
import { groupOf } from "./source-groups.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Whose requests are refused when not all can be taken. All sources have the same bound (max-min fairness): who asks for less than it loses nothing, and
 * who asks for more is cut down to it. So one that asks for nearly everything loses nearly all of that, and the others nothing.
 *
 * Sources that are proved and those that are not have half of what is taken each, and what the others leave. Thousands of invented sources ask for little
 * each, and no bound cuts them: so they take nothing from whoever has had a call.
 */
export class FairShares {
  #windowStart: SteadyMs = 0;
  #now = new Map<string, number>();
  #before: ReadonlyMap<string, number> = new Map();
  #provedNow = new Set<string>();
  #provedBefore: ReadonlySet<string> = new Set();
  /** Requests of a window that each source may have, proved or not. */
  #bounds: Bounds = noBounds;
  #share = 0;
  #asked = 0;
  #askedBefore = 0;
  #boundAt = Number.NEGATIVE_INFINITY;
  /** So many requests of a source in a window are taken in any case. */
  readonly #least: number;

  constructor(least = 0) {
    this.#least = least;
  }

  /** A source asks. `isProved`: it is counted for itself however many there are. Returns with which probability it is taken when this share of all is refused. */
  asked(source: string, share: number, now: SteadyMs, isProved: boolean): number {
    this.#turn(now);
    const name = this.#nameOf(source, isProved);
    this.#now.set(name, (this.#now.get(name) ?? 0) + 1);
    if (isProved) this.#provedNow.add(name);
    this.#asked += 1;
    if (share === 0 || Math.max(this.#asked, this.#askedBefore) <= requestsMin) return 1;
    if (Math.abs(share - this.#share) > shareStep || now - this.#boundAt >= shedWindowMs / 4) {
      this.#share = share;
      this.#boundAt = now;
      this.#bounds = this.#boundsOf(share, now);
    }
    const rate = this.#rateOf(name, now);
    const bound = Math.max(this.#least, this.#isProved(name) ? this.#bounds.proved : this.#bounds.others);
    return rate <= bound ? 1 : bound / rate;
  }

  #nameOf(source: string, isProved: boolean): string {
    if (this.#now.size < shedSourcesMax || isProved || this.#now.has(source)) return source;
    const group = groupOf(source);
    return this.#now.size < 2 * shedSourcesMax || this.#now.has(group) ? group : "";
  }

  #isProved(name: string): boolean {
    return this.#provedNow.has(name) || this.#provedBefore.has(name);
  }

  #turn(now: SteadyMs): void {
    const passed = now - this.#windowStart;
    if (passed < shedWindowMs) return;
    const isNext = passed < 2 * shedWindowMs;
    this.#before = isNext ? this.#now : new Map();
    this.#provedBefore = isNext ? this.#provedNow : new Set();
    this.#askedBefore = isNext ? this.#asked : 0;
    this.#asked = 0;
    this.#now = new Map();
    this.#provedNow = new Set();
    this.#windowStart = now;
  }

  #rateOf(source: string, now: SteadyMs): number {
    const weight = 1 - Math.min(1, (now - this.#windowStart) / shedWindowMs);
    return (this.#now.get(source) ?? 0) + (this.#before.get(source) ?? 0) * weight;
  }

  #boundsOf(share: number, now: SteadyMs): Bounds {
    const [proved, others]: [number[], number[]] = [[], []];
    const add = (name: string): void => void (this.#isProved(name) ? proved : others).push(this.#rateOf(name, now));
    for (const name of this.#now.keys()) add(name);
    for (const name of this.#before.keys()) if (!this.#now.has(name)) add(name);
    const [ofProved, ofOthers] = [sumOf(proved), sumOf(others)];
    const taken = (ofProved + ofOthers) * (1 - share);
    return {
      proved: boundOf(proved, Math.max(taken / 2, taken - ofOthers)),
      others: boundOf(others, Math.max(taken / 2, taken - ofProved)),
    };
  }
}

type Bounds = { readonly proved: number; readonly others: number };
const noBounds: Bounds = { proved: Number.POSITIVE_INFINITY, others: Number.POSITIVE_INFINITY };

/** By so much the share changes before bounds are made anew: all sources are looked at for that. */
const shareStep = 0.05;
/** In a window. */
const requestsMin = (shedRequestsMin * shedWindowMs) / 1_000;

function sumOf(rates: readonly number[]): number {
  return rates.reduce((sum, rate) => sum + rate, 0);
}

/** The bound by which so much is left of all. */
function boundOf(rates: number[], taken: number): number {
  rates.sort((left, right) => left - right);
  let left = taken;
  for (const [index, rate] of rates.entries()) {
    const each = left / (rates.length - index);
    if (rate > each) return each;
    left -= rate;
  }
  return Number.POSITIVE_INFINITY;
}
