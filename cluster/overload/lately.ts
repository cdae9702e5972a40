import { knownFlowsMax, knownFlowsMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** Names that were seen lately, a bounded number of them: the older half is forgotten at once. */
export class Lately {
  #now = new Set<string>();
  #before: ReadonlySet<string> = new Set();
  #turnedAt: SteadyMs = 0;

  has(name: string): boolean {
    return this.#now.has(name) || this.#before.has(name);
  }

  /** It is remembered for a whole turn yet. */
  isFresh(name: string): boolean {
    return this.#now.has(name);
  }

  add(name: string, now: SteadyMs): void {
    if (now - this.#turnedAt >= knownFlowsMs || this.#now.size >= knownFlowsMax) {
      this.#before = now - this.#turnedAt < 2 * knownFlowsMs ? this.#now : new Set();
      this.#now = new Set();
      this.#turnedAt = now;
    }
    this.#now.add(name);
  }
}
