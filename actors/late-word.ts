import { drainLateMs, lateToldMs } from "./limits.ts";
import type { SteadyMs } from "../sip/time.ts";

/** When an access tells the core groups that exchanges are late: again and again, as long as they are. */
export class LateWord {
  #toldAt: SteadyMs = Number.NEGATIVE_INFINITY;

  /** `lateMs`: how late the latest one is; undefined: nothing was asked of any. */
  isDue(lateMs: number | undefined, now: SteadyMs): boolean {
    if (lateMs === undefined || lateMs <= drainLateMs || now - this.#toldAt < lateToldMs) return false;
    this.#toldAt = now;
    return true;
  }
}
