import { credentialsWaitingMax, credentialsWaitMs } from "../limits.ts";
import { Timer, type TimerTable } from "../../sip/transaction/timer-table.ts";
import type { Asked } from "./request-step.ts";
import type { SteadyMs } from "../../sip/time.ts";

type Group = { readonly timer: Timer; readonly waiters: Asked[] };

/** Requests of one caller that wait together. */
const waitersPerCallerMax = 64;

/** Requests that wait for what another exchange knows of their callers, by address-of-record. */
export class WaitingRoom {
  readonly #timers: TimerTable;
  readonly #overdue: (addressOfRecord: string, now: SteadyMs) => void;
  readonly #waiting = new Map<string, Group>();

  /** `overdue`: those who wait for this one have waited for too long. */
  constructor(timers: TimerTable, overdue: (addressOfRecord: string, now: SteadyMs) => void) {
    this.#timers = timers;
    this.#overdue = overdue;
  }

  /** `asked`: the question is out already. `full`: there is no room. */
  enter(addressOfRecord: string, waiter: Asked, now: SteadyMs): "ask" | "asked" | "full" {
    const waiters = this.#waiting.get(addressOfRecord)?.waiters;
    if (waiters !== undefined) {
      if (waiters.length >= waitersPerCallerMax) return "full";
      waiters.push(waiter);
      return "asked";
    }
    if (this.#waiting.size >= credentialsWaitingMax) return "full";
    const timer = new Timer((at) => this.#overdue(addressOfRecord, at));
    this.#waiting.set(addressOfRecord, { timer, waiters: [waiter] });
    this.#timers.set(timer, now + credentialsWaitMs);
    return "ask";
  }

  /** All who wait for this one; they leave. */
  leave(addressOfRecord: string): readonly Asked[] {
    const group = this.#waiting.get(addressOfRecord);
    if (group === undefined) return [];
    this.#waiting.delete(addressOfRecord);
    this.#timers.clear(group.timer);
    return group.waiters;
  }
}
