import type { SteadyMs } from "../../sip/time.ts";
import { drainDeadlineMsMax } from "../../cluster/limits.ts";
import { drainPatienceMs, drainPortion, drainQuietMs, drainStepMs } from "../limits.ts";
import { steadyNow } from "../steady-now.ts";
import type { Connection } from "./connection.ts";

/** What it needs of the table of connections. */
type Table = { accepted(): Connection[]; has(connection: Connection): boolean };

/**
 * Sends the phones of a gateway elsewhere that is taken out of service. The connections that it has at the deadline are closed, a few at a time, quiet ones
 * first.
 * Those that come back here later have nowhere else to go, and stay.
 */
export class ConnectionDrain {
  readonly #table: Table;
  readonly #now: () => SteadyMs;
  #timer: NodeJS.Timeout | undefined;
  /** Those that are still to be closed. */
  #left: Connection[] = [];
  #begunAt: SteadyMs = 0;

  constructor(table: Table, now: () => SteadyMs = steadyNow) {
    this.#table = table;
    this.#now = now;
  }

  /** In how many milliseconds the deadline is; `never`: there is none; undefined: the gateway is in service. */
  set(closeInMs: number | "never" | undefined): void {
    this.stop();
    if (typeof closeInMs === "number") this.#timer = setTimeout(() => this.#begin(), Math.min(closeInMs, drainDeadlineMsMax));
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#left = [];
  }

  #begin(): void {
    this.#begunAt = this.#now();
    this.#left = this.#table.accepted();
    this.#step();
  }

  #step(): void {
    const now = this.#now();
    const quietMs = now - this.#begunAt < drainPatienceMs ? drainQuietMs : 0;
    let closed = 0;
    this.#left = this.#left.filter((connection) => {
      if (!this.#table.has(connection)) return false;
      if (closed === drainPortion || now - connection.activeAt < quietMs) return true;
      closed += 1;
      connection.close("draining");
      return false;
    });
    if (this.#left.length > 0) this.#timer = setTimeout(() => this.#step(), drainStepMs);
  }
}
