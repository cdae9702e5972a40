import type { MakeTimer, Timer } from "../timer.ts";
import { reconnectMsMax, reconnectMsMin } from "./limits.ts";

/** When to try again: at once after a success, then after 50, 100, ... 2000 ms, each shortened at random so that gateways do not come together. */
export class Backoff {
  readonly #attempt: () => void;
  readonly #random: () => number;
  #failures = 0;
  readonly #timer: Timer;
  #isPlanned = false;

  constructor(attempt: () => void, { timer, random }: { readonly timer: MakeTimer; readonly random: () => number }) {
    this.#attempt = attempt;
    this.#random = random;
    this.#timer = timer(() => {
      this.#isPlanned = false;
      attempt();
    });
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** Plans the next attempt. */
  retry(): void {
    this.#isPlanned = true;
    this.#timer.set(delayMs(this.#failures, this.#random()));
    this.#failures += 1;
  }

  /** Makes the planned attempt now. */
  hurry(): void {
    if (!this.#isPlanned) return;
    this.stop();
    this.#attempt();
  }

  stop(): void {
    this.#isPlanned = false;
    this.#timer.clear();
  }
}

/** Delay before the attempt after `failures` failed ones in a row; `random` in 0..1 takes up to half of it away. */
export function delayMs(failures: number, random: number): number {
  if (failures === 0) return 0;
  return Math.min(reconnectMsMax, reconnectMsMin * 2 ** (failures - 1)) * (1 - random / 2);
}
