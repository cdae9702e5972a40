import { drainGrowth, drainLateMs, drainPortionFirst, drainPortionMax, drainStepMs } from "./limits.ts";

/**
 * How many phones a cell or gateway that is taken out of service sends elsewhere in a step. Each costs the others a handshake and a REGISTER, which is little for
 * cells that have nothing else to do. Where all is busy, many at once make everything late: phones then give up connections that live, and come back as well.
 *
 * So it begins with few and sends more with each step, as long as exchanges are in time. When they are late it sends half as many, down to one.
 */
export class DrainPace {
  #most: number = drainPortionFirst;

  /** How many may go now. */
  get most(): number {
    return Math.floor(this.#most);
  }

  /** How late things were since the step before, ms. */
  measured(lateMs: number): void {
    this.#most = lateMs > drainLateMs ? Math.max(1, this.#most / 2) : Math.min(drainPortionMax, this.#most * drainGrowth);
  }

  /** How many are to go at least, so that so many are gone after so long: spread over all steps until then. */
  static least(left: number, msLeft: number): number {
    return Math.floor(left / Math.max(1, msLeft / drainStepMs));
  }

  /** What one of so many lines may send, each in its turn where there are fewer than lines. */
  shareOf(line: number, lineCount: number, step: number): number {
    const place = (line + step) % lineCount;
    return Math.floor((this.most * (place + 1)) / lineCount) - Math.floor((this.most * place) / lineCount);
  }
}
