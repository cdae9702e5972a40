/** How often the clock is looked at, and by how much it is set back before that is worth starting a cell again: NTP slews what is less. */
const lookMs = 1_000;
const setBackMsMin = 2_000;

export type ClockWatchOptions = {
  /** The clock was set back by so many milliseconds, at once. Not called again before the promise ends. */
  readonly wasSetBack: (byMs: number) => Promise<void>;
  readonly wall?: () => number;
  readonly steady?: () => number;
};

/**
 * Looks whether somebody sets the machine's clock back. workerd's timeouts stand for as long as it was set back (docs/decisions/0027), which no script
 * inside can mend: the cells have to be started again.
 */
export class ClockWatch {
  readonly #wasSetBack: (byMs: number) => Promise<void>;
  readonly #wall: () => number;
  readonly #steady: () => number;
  /** What the wall clock is ahead of the steady one by, as it was seen last. */
  #aheadMs: number;
  #owedMs = 0;
  #isTold = false;
  #timer: NodeJS.Timeout | undefined;

  constructor({ wasSetBack, wall = () => Date.now(), steady = () => performance.now() }: ClockWatchOptions) {
    this.#wasSetBack = wasSetBack;
    this.#wall = wall;
    this.#steady = steady;
    this.#aheadMs = wall() - steady();
  }

  start(): void {
    this.#aheadMs = this.#wall() - this.#steady();
    this.#timer ??= setInterval(() => this.look(), lookMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Compares the two clocks. What is set back while somebody is told of the step before is told after it. */
  look(): void {
    const aheadMs = this.#wall() - this.#steady();
    const byMs = this.#aheadMs - aheadMs;
    this.#aheadMs = aheadMs;
    if (byMs >= setBackMsMin) this.#owedMs += byMs;
    if (this.#owedMs === 0 || this.#isTold) return;
    const owedMs = this.#owedMs;
    this.#owedMs = 0;
    this.#isTold = true;
    void this.#wasSetBack(owedMs).finally(() => {
      this.#isTold = false;
    });
  }
}
