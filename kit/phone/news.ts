import type { PhoneTime } from "./environment.ts";

/** Lets somebody wait for what others bring about: whoever changes something tells, and whoever waits looks again. */
export class News {
  readonly #time: PhoneTime;
  #waiting: (() => void)[] = [];

  constructor(time: PhoneTime) {
    this.#time = time;
  }

  /** Something has changed. */
  tell(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Resolves when something has changed, or after this time. */
  async change(withinMs: number): Promise<void> {
    await new Promise<void>((wake) => {
      const late = this.#time.after(withinMs, wake);
      this.#waiting.push(() => {
        late.cancel();
        wake();
      });
    });
  }

  /** What is found now, or after a change; undefined: nothing is within the bound. */
  async find<T>(look: () => T | undefined, withinMs: number): Promise<T | undefined> {
    const deadline = this.#time.now + withinMs;
    for (;;) {
      const found = look();
      const leftMs = deadline - this.#time.now;
      if (found !== undefined || leftMs <= 0) return found;
      await this.change(leftMs);
    }
  }

  /** Whether a condition holds, now or after a change within the bound. */
  async holds(condition: () => boolean, withinMs: number): Promise<boolean> {
    return (await this.find(() => (condition() ? true : undefined), withinMs)) === true;
  }
}
