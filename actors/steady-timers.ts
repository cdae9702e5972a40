import { SteadyClock, type SteadyClockOptions } from "../cluster/time/steady-clock.ts";
import { later, type SteadyMs } from "../sip/time.ts";
import { clockLookMs } from "./limits.ts";
import type { MakeTimer, Timer } from "./timer.ts";

/** `setTimeout` and the clock of a runtime that has no other. */
export type Timeouts<Handle> = {
  readonly wall: SteadyClockOptions["wall"];
  readonly set: (run: () => void, delayMs: number) => Handle;
  readonly clear: (handle: Handle) => void;
  readonly origin?: SteadyMs;
};

/**
 * The clock of an object, and its timers. Both go by timeouts, and those go by the wall clock. In workerd a timeout waits for a moment of that clock.
 * When it is set back, all but the next wait for as much longer. So timers are set again then. They look at the clock in between, so that a step
 * forward is not taken for time that has passed.
 */
export class SteadyTimers<Handle> {
  readonly clock: SteadyClock;
  readonly #timeouts: Timeouts<Handle>;
  readonly #set = new Set<SteadyTimer<Handle>>();

  constructor(timeouts: Timeouts<Handle>) {
    const { wall, origin } = timeouts;
    this.#timeouts = timeouts;
    this.clock = new SteadyClock({
      wall,
      isWatched: () => this.#set.size > 0,
      wasSetBack: () => {
        for (const timer of this.#set) timer.restart();
      },
      ...(origin === undefined ? {} : { origin }),
    });
  }

  readonly timer: MakeTimer = (run) => new SteadyTimer(run, this.clock, this.#timeouts, this.#set);
}

class SteadyTimer<Handle> implements Timer {
  readonly #run: () => void;
  readonly #clock: SteadyClock;
  readonly #timeouts: Timeouts<Handle>;
  /** Those that are set. */
  readonly #all: Set<SteadyTimer<Handle>>;
  #handle: Handle | undefined;
  /** When it is to ring, and the timeout before: that one comes to look at the clock. */
  #due: SteadyMs = 0;
  #looksAt: SteadyMs = 0;

  constructor(run: () => void, clock: SteadyClock, timeouts: Timeouts<Handle>, all: Set<SteadyTimer<Handle>>) {
    this.#run = run;
    this.#clock = clock;
    this.#timeouts = timeouts;
    this.#all = all;
  }

  set(delayMs: number): void {
    this.#due = later(this.#clock.latest, delayMs);
    this.#all.add(this);
    this.#start(delayMs);
  }

  clear(): void {
    this.#all.delete(this);
    this.#stop();
  }

  /** Its timeout waits for a moment that the wall clock has been taken away from. */
  restart(): void {
    this.#start(this.#due - this.#clock.latest);
  }

  #start(delayMs: number): void {
    this.#stop();
    const waitMs = Math.min(delayMs, clockLookMs);
    this.#looksAt = later(this.#clock.latest, waitMs);
    this.#handle = this.#timeouts.set(this.#rang, waitMs);
  }

  #stop(): void {
    if (this.#handle !== undefined) this.#timeouts.clear(this.#handle);
    this.#handle = undefined;
  }

  readonly #rang = (): void => {
    this.#handle = undefined;
    const now = this.#clock.reached(this.#looksAt);
    if (now < this.#due) return this.#start(this.#due - now);
    this.clear();
    this.#run();
  };
}
