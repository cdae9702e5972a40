import type { SteadyMs } from "../../sip/time.ts";
import { DrainPace } from "../../actors/drain-pace.ts";
import { drainPortionMax, drainStepMs } from "../../actors/limits.ts";
import { drainDeadlineMsMax } from "../../cluster/limits.ts";
import { drainMsMax, drainPatienceMs, drainQuietMs } from "../limits.ts";
import { steadyNow } from "../steady-now.ts";
import type { Connection } from "./connection.ts";

/** What it needs of the table of connections. */
type Table = { accepted(): Connection[]; has(connection: Connection): boolean };

/**
 * Sends the phones of a gateway elsewhere that is taken out of service. The connections that it has at the deadline are closed at the pace that all can bear,
 * quiet ones first, and all within {@link drainMsMax}.
 * Those that come back here later have nowhere else to go, and stay.
 */
export class ConnectionDrain {
  readonly #table: Table;
  readonly #lateMs: (now: SteadyMs) => number | undefined;
  readonly #now: () => SteadyMs;
  #timer: NodeJS.Timeout | undefined;
  /** Those that are still to be closed. */
  #left: readonly Connection[] = [];
  #pace = new DrainPace();
  #begunAt: SteadyMs = 0;
  /** When one was last closed, or it began. */
  #closedAt: SteadyMs = 0;
  /** When the present step was to be, ms. */
  #dueAt: SteadyMs = 0;
  /** Those wait that are in the middle of something. */
  #isPatient = true;

  /** `lateMs`: how late exchanges have been lately; undefined: nothing was asked of any. */
  constructor(table: Table, lateMs: (now: SteadyMs) => number | undefined, now: () => SteadyMs = steadyNow) {
    this.#table = table;
    this.#lateMs = lateMs;
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
    const now = this.#now();
    [this.#begunAt, this.#closedAt, this.#dueAt, this.#isPatient] = [now, now, now, true];
    this.#pace = new DrainPace();
    this.#left = this.#table.accepted();
    this.#step(now);
  }

  #step(now: SteadyMs): void {
    if (now - this.#closedAt >= drainPatienceMs || now - this.#begunAt >= drainMsMax / 2) this.#isPatient = false;
    const open = this.#left.filter((connection) => this.#table.has(connection));
    const isQuiet = (connection: Connection): boolean => now - connection.activeAt >= drainQuietMs;
    const quiet = open.filter(isQuiet);
    const mayGo = this.#isPatient ? quiet : [...quiet, ...open.filter((connection) => !isQuiet(connection))];
    const least = Math.min(drainPortionMax, DrainPace.least(open.length, this.#begunAt + drainMsMax - now));
    const going = new Set(mayGo.slice(0, Math.max(this.#pace.most, least)));
    for (const connection of going) connection.close("draining");
    if (going.size > 0) this.#closedAt = now;
    this.#left = open.filter((connection) => !going.has(connection));
    if (this.#left.length === 0) return;
    this.#dueAt = now + drainStepMs;
    this.#timer = setTimeout(() => this.#next(), drainStepMs);
  }

  #next(): void {
    const now = this.#now();
    this.#pace.measured(Math.max(now - this.#dueAt, this.#lateMs(now) ?? 0));
    this.#step(now);
  }
}
