import type { ExchangeTimer, TimerPort } from "../../actors/exchange/ports.ts";
import type { Host } from "./host.ts";
import type { Planned } from "./world.ts";

/** An actor's timers, by the clock of its process. */
export class SimulatedTimers implements TimerPort {
  readonly #host: Host;
  readonly #ring: (timer: ExchangeTimer, now: number) => void;
  readonly #planned = new Map<ExchangeTimer, Planned>();

  constructor(host: Host, ring: (timer: ExchangeTimer, now: number) => void) {
    this.#host = host;
    this.#ring = ring;
  }

  set(timer: ExchangeTimer, ms: number): void {
    this.clear(timer);
    const planned = this.#host.after(ms, () => {
      this.#planned.delete(timer);
      this.#ring(timer, this.#host.now);
    });
    this.#planned.set(timer, planned);
  }

  clear(timer: ExchangeTimer): void {
    const planned = this.#planned.get(timer);
    if (planned !== undefined) planned.isOff = true;
    this.#planned.delete(timer);
  }

  /** Whether none is set, but perhaps this one. */
  areIdleBut(timer: ExchangeTimer): boolean {
    return [...this.#planned.keys()].every((each) => each === timer);
  }
}
