import type { Timeouts } from "../../actors/steady-timers.ts";
import { steadyOriginMs, type Host } from "./host.ts";
import type { Planned } from "./world.ts";

/** One that is set. */
export type Timeout = { readonly when: number; readonly run: () => void; planned: Planned };

/**
 * Timeouts of one object, as workerd has them (io-context.c++): each waits for a moment of the wall clock, and only for the earliest of them time is measured.
 * So a step of the wall clock moves all others, when they come to be the earliest. `stands`: for an object the clock never goes back. It stands until the wall
 * clock is there again, as measured with workerd 1.20261117.1. Else it goes back, as in workerd's sources of August 2026.
 */
export function timeoutsOf(host: Host, stands: boolean): Timeouts<Timeout> {
  let shown = 0;
  const now = (): number => (shown = stands ? Math.max(shown, host.wall) : host.wall);
  const all = new Set<Timeout>();
  let measured: Timeout | undefined;
  let stepsSeen = host.steps;
  const plan = (timeout: Timeout): Planned =>
    host.at(timeout.when, () => {
      all.delete(timeout);
      // What has rung has come, whatever the wall clock says.
      shown = Math.max(shown, timeout.when);
      measure();
      timeout.run();
    });
  /** The earliest is measured from now on, and no other. Without a step each comes when it was planned to. */
  const measure = (): void => {
    let earliest: Timeout | undefined;
    for (const each of all) if (earliest === undefined || each.when < earliest.when) earliest = each;
    const isNew = earliest !== measured;
    measured = earliest;
    if (earliest === undefined || stepsSeen === host.steps) return;
    for (const each of all) if (each !== earliest || isNew) each.planned.isOff = true;
    if (isNew) earliest.planned = plan(earliest);
  };
  return {
    wall: now,
    set: (run, delayMs) => {
      if (all.size === 0) stepsSeen = host.steps;
      const timeout: Timeout = { when: now() + delayMs, run, planned: { isOff: false } };
      timeout.planned = plan(timeout);
      all.add(timeout);
      measure();
      return timeout;
    },
    clear: (timeout) => {
      timeout.planned.isOff = true;
      all.delete(timeout);
      measure();
    },
    origin: steadyOriginMs + host.world.now,
  };
}
