import type { ExchangeTimer, TimerPort } from "../../actors/exchange/ports.ts";

type Handle = ReturnType<typeof setTimeout>;

/** An exchange actor's timers. Any of them keeps its object awake. */
export class Timers implements TimerPort {
  readonly #handles = new Map<ExchangeTimer, Handle>();
  readonly #ring: (timer: ExchangeTimer, now: number) => void;

  constructor(ring: (timer: ExchangeTimer, now: number) => void) {
    this.#ring = ring;
  }

  set(timer: ExchangeTimer, ms: number): void {
    clearTimeout(this.#handles.get(timer) ?? null);
    this.#handles.set(
      timer,
      setTimeout(() => this.#ring(timer, Date.now()), ms),
    );
  }

  clear(timer: ExchangeTimer): void {
    clearTimeout(this.#handles.get(timer) ?? null);
    this.#handles.delete(timer);
  }
}
