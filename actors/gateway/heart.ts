import type { MakeTimer, Timer } from "../timer.ts";

/**
 * The clock of a gateway. A process that has nothing to do pays for each time it wakes, whatever it does then. So what is done again and again (pings
 * on all links, a look at the clock, a sweep) is done at one time. The order is that in which it was asked for.
 */
export class Heart {
  readonly #lookMsMax: number;
  readonly #looks: (() => void)[] = [];
  readonly #beats: (() => void)[] = [];
  #periodMs: number;
  readonly #timer: Timer;
  /** Looks since the last beat. */
  #looked = 0;

  /** `periodMs`: between beats, until {@link beatBy} says otherwise. `lookMsMax`: a longer period has looks in between, at most so far apart. */
  constructor(periodMs: number, lookMsMax: number, timer: MakeTimer) {
    this.#periodMs = periodMs;
    this.#lookMsMax = lookMsMax;
    this.#timer = timer(() => this.#look());
    this.#timer.set(this.lookMs);
  }

  /** Between two looks, ms. */
  get lookMs(): number {
    return this.#periodMs / Math.ceil(this.#periodMs / this.#lookMsMax);
  }

  /** Runs with every beat and in between: at least every {@link lookMs}. */
  onLook(run: () => void): void {
    this.#looks.push(run);
  }

  /** Runs once a period. */
  onBeat(run: () => void): void {
    this.#beats.push(run);
  }

  /** Another period. The next beat is one of it from now. */
  beatBy(periodMs: number): void {
    if (periodMs === this.#periodMs) return;
    this.#periodMs = periodMs;
    this.#looked = 0;
    this.#timer.set(this.lookMs);
  }

  stop(): void {
    this.#timer.clear();
  }

  #look(): void {
    this.#timer.set(this.lookMs);
    for (const run of this.#looks) run();
    this.#looked = (this.#looked + 1) % Math.ceil(this.#periodMs / this.#lookMsMax);
    if (this.#looked === 0) for (const run of this.#beats) run();
  }
}
