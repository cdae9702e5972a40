import type { SteadyMs } from "../../sip/time.ts";
import { refusalsSaidMs } from "../limits.ts";

/** Requests whose signatures were refused since the start: how many, and a line of the log now and then. */
export class RefusedSignatures {
  #count = 0;
  #saidCount = 0;
  #saidAt: SteadyMs = 0;

  get count(): number {
    return this.#count;
  }

  add(count: number): void {
    this.#count += count;
  }

  /** What is to be said of those that nobody has been told of; undefined: nothing, or not yet. */
  line(cell: string, now: SteadyMs): string | undefined {
    const count = this.#count - this.#saidCount;
    if (count === 0 || now < this.#saidAt + refusalsSaidMs) return undefined;
    this.#saidAt = now;
    this.#saidCount = this.#count;
    return `cell ${cell}: refused ${count} ${count === 1 ? "request" : "requests"} with a wrong or old signature`;
  }
}
