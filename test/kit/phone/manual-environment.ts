import type { PhoneEnvironment, Planned } from "../../../kit/phone/environment.ts";

type Plan = { readonly at: number; readonly act: () => void };

/** Time that goes on when a test says so, and no chance. */
export class ManualEnvironment implements PhoneEnvironment {
  now = 0;
  readonly #plans = new Set<Plan>();
  #ids = 0;

  after(ms: number, act: () => void): Planned {
    const plan = { at: this.now + ms, act };
    this.#plans.add(plan);
    return { cancel: () => this.#plans.delete(plan) };
  }

  random(): number {
    return 0.5;
  }

  newId(): string {
    this.#ids += 1;
    return `id${this.#ids}`;
  }

  /** How many plans there are. */
  get planned(): number {
    return this.#plans.size;
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [next] = [...this.#plans].filter(({ at }) => at <= end).toSorted((one, other) => one.at - other.at);
      if (next === undefined) break;
      this.#plans.delete(next);
      this.now = next.at;
      next.act();
    }
    this.now = end;
  }
}
