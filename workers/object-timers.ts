import { SteadyTimers } from "../actors/steady-timers.ts";

type Handle = ReturnType<typeof setTimeout>;

/** The clocks and timers of one object. In workerd `performance.now()` says what `Date.now()` says: there is no steady clock but the one made here. */
export function objectTimers(): SteadyTimers<Handle> {
  return new SteadyTimers({
    wall: () => Date.now(),
    set: (run, delayMs) => setTimeout(run, delayMs),
    clear: (handle) => clearTimeout(handle),
  });
}
