/**
 * Looks for the highest rate that a system stands: doubles from the first one until a rate fails, then halves the interval until it is
 * small against the rate. `next` says what to try, `report` what came of it.
 */
export class RateSearch {
  #passed = 0;
  #failed = Number.POSITIVE_INFINITY;
  readonly #first: number;
  readonly #max: number;
  /** The search ends when it knows the rate this well: 0.05 = 5 %. */
  readonly #precision: number;

  constructor(options: { readonly first: number; readonly max: number; readonly precision: number }) {
    this.#first = options.first;
    this.#max = options.max;
    this.#precision = options.precision;
  }

  /** The rate to try next, a multiple of ten; undefined when the answer is known well enough. */
  next(): number | undefined {
    if (this.#passed >= this.#max) return undefined;
    if (this.#failed === Number.POSITIVE_INFINITY) return this.#passed === 0 ? this.#first : Math.min(this.#passed * 2, this.#max);
    if (this.#failed - this.#passed <= Math.max(10, this.#passed * this.#precision)) return undefined;
    const middle = Math.round((this.#passed + this.#failed) / 20) * 10;
    return middle > this.#passed && middle < this.#failed ? middle : undefined;
  }

  report(rate: number, passed: boolean): void {
    if (passed) this.#passed = Math.max(this.#passed, rate);
    else this.#failed = Math.min(this.#failed, rate);
  }

  /** The highest rate that passed so far; 0 when none did. */
  get best(): number {
    return this.#passed;
  }
}
