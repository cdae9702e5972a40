import { reconnectMsMax, reconnectMsMin } from "../limits.ts";

/** When to try again: at once after a success, then after 50, 100, ... 2000 ms, each shortened at random so that gateways do not come together. */
export class Backoff {
  readonly #attempt: () => void;
  readonly #random: () => number;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(attempt: () => void, random: () => number = Math.random) {
    this.#attempt = attempt;
    this.#random = random;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** Plans the next attempt. */
  retry(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#attempt();
      },
      delayMs(this.#failures, this.#random()),
    );
    this.#failures += 1;
  }

  /** Makes the planned attempt now. */
  hurry(): void {
    if (this.#timer === undefined) return;
    this.stop();
    this.#attempt();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** Delay before the attempt after `failures` failed ones in a row; `random` in 0..1 takes up to half of it away. */
export function delayMs(failures: number, random: number): number {
  if (failures === 0) return 0;
  return Math.min(reconnectMsMax, reconnectMsMin * 2 ** (failures - 1)) * (1 - random / 2);
}
