import type { Timer } from "../../actors/timer.ts";

/** The clock of a process and its timers, which go on when a test says so. */
export class VirtualTime {
  now = 1_790_000_000_000;
  #set: { readonly at: number; readonly run: () => void }[] = [];

  timer(run: () => void): Timer {
    const clear = (): void => void (this.#set = this.#set.filter((each) => each.run !== run));
    return {
      clear,
      set: (delayMs) => {
        clear();
        this.#set.push({ at: this.now + delayMs, run });
      },
    };
  }

  /** Timers ring in between, each at its time. */
  pass(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const [next] = this.#set.filter(({ at }) => at <= until).toSorted((one, other) => one.at - other.at);
      if (next === undefined) break;
      this.now = Math.max(this.now, next.at);
      this.#set = this.#set.filter((each) => each !== next);
      next.run();
    }
    this.now = until;
  }

  /** The process stands still: what should have rung rings late, all at once. */
  standStill(ms: number): void {
    this.now += ms;
    this.pass(0);
  }
}
