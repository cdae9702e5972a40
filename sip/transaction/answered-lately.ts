import { answeredMs } from "../limits.ts";
import type { SteadyMs } from "../time.ts";
import { TwoGenerations } from "../two-generations.ts";

/** Octets of the INVITEs that each callee has answered with 2xx in the last {@link answeredMs}, and before that for as long again. */
export class AnsweredLately {
  readonly #octets = new TwoGenerations<string, number>(answeredMs);

  add(callee: string, octets: number, now: SteadyMs): void {
    this.#octets.look(now);
    this.#octets.set(callee, (this.#octets.recentOf(callee) ?? 0) + octets, now);
  }

  of(callee: string, now: SteadyMs): number {
    this.#octets.look(now);
    return (this.#octets.recentOf(callee) ?? 0) + (this.#octets.earlierOf(callee) ?? 0);
  }
}
