import { sourceOfAddress } from "../sip/flow/source.ts";
import { joinTriesInAllMax, joinTriesMs, joinTriesPerSourceMax } from "./limits.ts";

/** How often strangers have tried a join door: tokens are not guessed, and to look at one costs a cell a signature. */
export class JoinTries {
  readonly #bySource = new Map<string, number>();
  #all = 0;
  #since = Number.NEGATIVE_INFINITY;

  /** Counts a try of an address. False: it has had enough of them, or all together have. `now`: ms, steady. */
  take(address: string, now: number): boolean {
    if (now - this.#since >= joinTriesMs) {
      this.#since = now;
      this.#all = 0;
      this.#bySource.clear();
    }
    const source = sourceOfAddress(address);
    const tries = this.#bySource.get(source) ?? 0;
    if (tries >= joinTriesPerSourceMax || this.#all >= joinTriesInAllMax) return false;
    this.#bySource.set(source, tries + 1);
    this.#all += 1;
    return true;
  }
}
