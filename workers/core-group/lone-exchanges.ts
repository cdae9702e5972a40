import { loneSaidMs } from "../limits.ts";
import { exchangesText } from "../../cluster/group/exchanges-text.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** One that has no second replica, and why. */
export type LoneExchange = { readonly exchange: number; readonly cause: string };

/** The exchanges of a cell that have no second replica: what they know ends with this cell. Said in one line, once, and once when it is over. */
export class LoneExchanges {
  readonly #cell: string;
  /** Causes by exchange. */
  readonly #lone = new Map<number, string>();
  readonly #said = new Set<number>();
  #changedAt: SteadyMs = 0;

  constructor(cell: string) {
    this.#cell = cell;
  }

  has(exchange: number): boolean {
    return this.#lone.has(exchange);
  }

  /** Those that have no second replica, and why. */
  list(): LoneExchange[] {
    return Array.from(this.#lone, ([exchange, cause]) => ({ exchange, cause }));
  }

  /** `cause` undefined: it has a second replica again. */
  set(exchange: number, cause: string | undefined, now: SteadyMs): void {
    if (cause === undefined) this.#lone.delete(exchange);
    // The runtime ends its sentences, and more follows here.
    else this.#lone.set(exchange, cause.replace(/\.$/, ""));
    this.#changedAt = now;
  }

  /** What is to be said at `now`, if anything: exchanges come one after the other, and are one line. */
  line(now: SteadyMs): string | undefined {
    if (now - this.#changedAt < loneSaidMs) return undefined;
    const fresh = [...this.#lone.keys()].filter((exchange) => !this.#said.has(exchange));
    const over = [...this.#said].filter((exchange) => !this.#lone.has(exchange));
    for (const exchange of fresh) this.#said.add(exchange);
    for (const exchange of over) this.#said.delete(exchange);
    if (fresh.length > 0) {
      const causes = [...new Set(fresh.map((exchange) => this.#lone.get(exchange) ?? ""))].join("; ");
      return `cell ${this.#cell}: no second replica of ${exchangesText(fresh)}: ${causes}; what changes there is in this cell only`;
    }
    if (over.length === 0) return undefined;
    const rest = this.#said.size === 0 ? "" : `, none yet of ${exchangesText([...this.#said])}`;
    return `cell ${this.#cell}: a second replica again of ${exchangesText(over)}${rest}`;
  }
}
