import type { Timer } from "../actors/timer.ts";

/** An actor's timer, in `setTimeout`. */
export class TimeoutTimer implements Timer {
  readonly #run: () => void;
  #handle: NodeJS.Timeout | undefined;

  constructor(run: () => void) {
    this.#run = run;
  }

  set(delayMs: number): void {
    clearTimeout(this.#handle);
    this.#handle = setTimeout(this.#run, delayMs);
  }

  clear(): void {
    clearTimeout(this.#handle);
    this.#handle = undefined;
  }
}
