import type { Clocks, SteadyMs, WallMs } from "../../sip/time.ts";
import { clockJumpMsMin } from "../limits.ts";

export type SteadyClockOptions = {
  /** What the wall clock says, ms since the epoch. */
  readonly wall: () => WallMs;
  /** Whether the clock is read so often now that a jump is no idle time: timers are set. */
  readonly isWatched: () => boolean;
  /** The wall clock was set back: who has set timers by it sets them again. */
  readonly wasSetBack: () => void;
  /** What the count begins with. A test may choose one that nobody takes for a wall clock. */
  readonly origin?: SteadyMs;
};

/**
 * A steady count made of the only clock that a runtime has, the wall clock. It never goes back. A step back of the wall clock leaves it where it is.
 * A step forward looks like a standstill of the process, so both count for {@link countAtMost} at the most. That is enough to be taken for a
 * standstill, and too little for calls to end by it. docs/decisions/0027-two-kinds-of-time.md has what it cannot know.
 */
export class SteadyClock implements Clocks {
  readonly #options: SteadyClockOptions;
  #jumpMsMax = clockJumpMsMin;
  /** What was read last. */
  #wall: WallMs;
  /** The wall clock is ahead of the count by so much. */
  #aheadMs: number;

  constructor(options: SteadyClockOptions) {
    this.#options = options;
    this.#wall = options.wall();
    this.#aheadMs = options.origin === undefined ? 0 : this.#wall - options.origin;
  }

  /** A standstill, or a step forward, counts for no more than this: more than what is judged by a standstill. */
  countAtMost(ms: number): void {
    this.#jumpMsMax = Math.max(ms, clockJumpMsMin);
  }

  /** The moment that was read last. */
  get latest(): SteadyMs {
    return this.#wall - this.#aheadMs;
  }

  readonly now = (): SteadyMs => {
    const wall = this.#options.wall();
    const passedMs = wall - this.#wall;
    if (passedMs < 0) return this.#setBack(wall, this.latest);
    this.#wall = wall;
    if (passedMs > this.#jumpMsMax && this.#options.isWatched()) this.#aheadMs += passedMs - this.#jumpMsMax;
    return wall - this.#aheadMs;
  };

  readonly wallAt = (moment: SteadyMs): WallMs => moment + this.#aheadMs;

  /** A timer that was set to this moment has rung: it has come, though the wall clock may have been set back meanwhile. */
  reached(moment: SteadyMs): SteadyMs {
    const wall = this.#options.wall();
    if (wall < this.#wall) return this.#setBack(wall, Math.max(this.latest, moment));
    const now = this.now();
    // A runtime may let its clock stand for as long as it was set back.
    return now < moment ? this.#setBack(this.#wall, moment) : now;
  }

  #setBack(wall: WallMs, now: SteadyMs): SteadyMs {
    this.#wall = wall;
    this.#aheadMs = wall - now;
    this.#options.wasSetBack();
    return now;
  }
}
