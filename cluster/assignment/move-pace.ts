import { movesApartMsMax, movesAtFirst, movesAtOnceMax } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * How many replicas move at once. Each is copied by a cell that serves calls at the same time, and its accesses go elsewhere. On a machine that has hardly room for
 * its calls several at once make all late. Softphones then give up connections that live, come back together, and make all later still.
 *
 * So one moves at first, and twice as many after each step. None begins while an access finds an exchange late, but for one now and then: what is late for ever is
 * balanced all the same.
 */
export class MovePace {
  #most = movesAtFirst;
  /** Moves have begun or ended since the last look. */
  #hasStepped = false;
  #changedAt: SteadyMs = Number.NEGATIVE_INFINITY;

  /** The map is another one. What follows of it shows a moment later. */
  mapChanged(now: SteadyMs): void {
    this.#changedAt = now;
  }

  /** So many may begin, where so many exchanges are not as they are to be already. Asked once a look. */
  beginsMax(unsettled: number, isLate: boolean, now: SteadyMs): number {
    const isSettled = unsettled === 0 && !this.#hasStepped;
    if (isLate || isSettled) this.#most = movesAtFirst;
    else if (this.#hasStepped) this.#most = Math.min(2 * this.#most, movesAtOnceMax);
    this.#hasStepped = false;
    const inTime = isLate ? 0 : this.#most - unsettled;
    const overdue = now - this.#changedAt >= movesApartMsMax ? 1 : 0;
    return Math.min(allAtOnce(unsettled), Math.max(inTime, overdue));
  }

  /** This look has changed assignments. */
  stepped(): void {
    this.#hasStepped = true;
  }
}

/** As many as may ever be under way. */
export function allAtOnce(unsettled: number): number {
  return movesAtOnceMax - unsettled;
}
