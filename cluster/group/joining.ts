import { joiningMsMax } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** When a cell that has started has joined: it knows of every other one whether it lives, and its exchanges that run know what their peers know. */
export class Joining {
  readonly #catchingUp = new Set<number>();
  /** Since when it knows of every other cell whether it lives, ms. */
  #since: SteadyMs | undefined;

  /** When that is, as it looks now: those exchanges count that have heard of the others, which takes one more turn. Infinity: nobody can say yet. */
  get endsAt(): number {
    if (this.#since === undefined) return Number.POSITIVE_INFINITY;
    return this.#since + (this.#catchingUp.size === 0 ? 1 : joiningMsMax);
  }

  othersAreKnown(now: SteadyMs): void {
    this.#since ??= now;
  }

  /** An exchange asks its peer what it has missed, or may do so. */
  catchingUp(exchange: number): void {
    this.#catchingUp.add(exchange);
  }

  /** True: it was waited for. */
  caughtUp(exchange: number): boolean {
    return this.#catchingUp.delete(exchange);
  }
}
