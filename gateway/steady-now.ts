import type { SteadyMs } from "../sip/time.ts";

/** The steady clock of this process. It begins with what the wall clock said at the start, so that a number of it can be read. */
export function steadyNow(): SteadyMs {
  return Math.floor(performance.timeOrigin + performance.now());
}
