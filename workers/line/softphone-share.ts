import { lineSocketsMax, socketsRecountMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * How many softphones one line takes. Counting those that are there costs time for each of them. So those that come are added, and all are counted
 * again when there seem to be too many. What is refused for that reason is refused for {@link socketsRecountMs} at most.
 */
export class SoftphoneShare {
  readonly #max: number;
  readonly #count: () => number;
  #atMost = 0;
  #countedAt = Number.NEGATIVE_INFINITY;

  /** `max`: see {@link shareOf}. `count`: those that are open now. */
  constructor(max: number, count: () => number) {
    this.#max = max;
    this.#count = count;
  }

  /** Takes one more. False: there is no room. */
  take(now: SteadyMs): boolean {
    if (this.#countedAt === Number.NEGATIVE_INFINITY || (this.#atMost >= this.#max && now - this.#countedAt >= socketsRecountMs)) {
      this.#atMost = this.#count();
      this.#countedAt = now;
    }
    if (this.#atMost >= this.#max) return false;
    this.#atMost += 1;
    return true;
  }
}

/**
 * What one of so many lines may take, when the cell may take `softphonesMax` (text of a whole number; undefined: as many as come). Throws when
 * that is no number above 0: a cell that is told nonsense must not seem to work.
 */
export function shareOf(softphonesMax: string | undefined, lineCount: number): number {
  if (softphonesMax === undefined) return lineSocketsMax;
  if (!/^[1-9]\d{0,8}$/.test(softphonesMax)) throw new Error(`SOFTPHONES_MAX is no number of softphones: ${softphonesMax}`);
  return Math.min(lineSocketsMax, Math.max(1, Math.floor(Number(softphonesMax) / lineCount)));
}
