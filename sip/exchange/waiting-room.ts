import { credentialsWaitingMax, credentialsWaitMs } from "../limits.ts";
import type { Preprocessed } from "../proxy/route-preprocessing.ts";
import type { TimerTable } from "../transaction/timer-table.ts";
import type { ServerTransaction } from "../transaction/transaction.ts";

/** A request that waits for its caller's secrets. */
export type Waiter = { readonly tx: ServerTransaction; readonly request: Preprocessed };

const timerPrefix = "x:";
/** Requests of one caller that wait together. */
const waitersPerCallerMax = 64;

/** Requests that wait for what another exchange knows of their callers, by address-of-record. */
export class WaitingRoom {
  readonly #timers: TimerTable;
  readonly #waiting = new Map<string, Waiter[]>();

  constructor(timers: TimerTable) {
    this.#timers = timers;
  }

  /** `asked`: the question is out already. `full`: there is no room. */
  enter(addressOfRecord: string, waiter: Waiter, now: number): "ask" | "asked" | "full" {
    const waiting = this.#waiting.get(addressOfRecord);
    if (waiting !== undefined) {
      if (waiting.length >= waitersPerCallerMax) return "full";
      waiting.push(waiter);
      return "asked";
    }
    if (this.#waiting.size >= credentialsWaitingMax) return "full";
    this.#waiting.set(addressOfRecord, [waiter]);
    this.#timers.set(timerPrefix + addressOfRecord, now + credentialsWaitMs);
    return "ask";
  }

  /** All who wait for this one; they leave. */
  leave(addressOfRecord: string): readonly Waiter[] {
    const waiting = this.#waiting.get(addressOfRecord) ?? [];
    this.#waiting.delete(addressOfRecord);
    this.#timers.clear(timerPrefix + addressOfRecord);
    return waiting;
  }

  /** Whom a timer that is due was about; undefined when it is none of these. */
  overdue(timerKey: string): string | undefined {
    return timerKey.startsWith(timerPrefix) ? timerKey.slice(timerPrefix.length) : undefined;
  }
}
