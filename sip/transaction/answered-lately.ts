import { answeredMs } from "../limits.ts";
import type { SteadyMs } from "../time.ts";

/** Octets of the INVITEs that each callee has answered with 2xx in the last {@link answeredMs}, and before that for as long again. */
export class AnsweredLately {
  #recent = new Map<string, number>();
  #earlier = new Map<string, number>();
  #since: SteadyMs = 0;

  add(callee: string, octets: number, now: SteadyMs): void {
    this.#forget(now);
    this.#recent.set(callee, (this.#recent.get(callee) ?? 0) + octets);
  }

  of(callee: string, now: SteadyMs): number {
    this.#forget(now);
    return (this.#recent.get(callee) ?? 0) + (this.#earlier.get(callee) ?? 0);
  }

  #forget(now: SteadyMs): void {
    const pastMs = now - this.#since;
    if (pastMs < answeredMs) return;
    this.#earlier = pastMs < 2 * answeredMs ? this.#recent : new Map();
    this.#recent = new Map();
    this.#since = now;
  }
}
