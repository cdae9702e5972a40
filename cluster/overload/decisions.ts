import { copiesMax, decisionMs, decisionsMax, refusalMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { TwoGenerations } from "../../sip/two-generations.ts";

/** Negative: it was taken, and so many copies of it may be. Else when it was refused, ms. */
type Decision = number;

/**
 * What was decided of requests lately, by the hashes of their sources, methods and Call-IDs. A copy of one that was taken must not be refused: its callee would ring for a
 * caller who has given up. The one with the credentials that were asked for belongs to it. A copy that has crossed its refusal must not be taken for the
 * same reason.
 */
export class Decisions {
  readonly #decisions = new TwoGenerations<number, Decision>(decisionMs, decisionsMax);

  /** A copy comes: whether it is taken as its first was; undefined: nobody has asked, or long ago. */
  of(call: number, now: SteadyMs): boolean | undefined {
    const decision = this.#decisions.get(call);
    if (decision === undefined) return undefined;
    if (decision < 0) {
      // The last stays: what comes after it is one copy too many.
      if (decision === spent) return false;
      this.#decisions.change(call, decision + 1);
      return true;
    }
    return now - decision <= refusalMs ? false : undefined;
  }

  keep(call: number, isTaken: boolean, now: SteadyMs): void {
    this.#decisions.set(call, isTaken ? spent - copiesMax : now, now);
  }
}

/** It was taken, and all its copies were. */
const spent = -1;
