/**
 * One timer of an actor, made once with what it does. An adapter keeps it in `setTimeout`, the simulation in its own time. Delays are in milliseconds,
 * and 0 is as soon as possible, after the present event.
 */
export type Timer = {
  /** Runs once after this delay, and not when it was set for before. */
  set(delayMs: number): void;
  /** Does not run. */
  clear(): void;
};

/** Makes a timer that does this. */
export type MakeTimer = (run: () => void) => Timer;
