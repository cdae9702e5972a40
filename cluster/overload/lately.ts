import { knownFlowsMax, knownFlowsMs } from "../limits.ts";
import { TwoGenerations } from "../../sip/two-generations.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** Names that were seen lately, a bounded number of them. */
export class Lately {
  readonly #names = new TwoGenerations<string, true>(knownFlowsMs, knownFlowsMax);

  has(name: string): boolean {
    return this.#names.get(name) !== undefined;
  }

  /** It is remembered for a whole turn yet. */
  isFresh(name: string): boolean {
    return this.#names.recentOf(name) !== undefined;
  }

  add(name: string, now: SteadyMs): void {
    this.#names.set(name, true, now);
  }
}
