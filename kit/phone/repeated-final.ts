import { t1Ms, t2Ms } from "../../sip/limits.ts";
import type { PhoneTime, Planned } from "./environment.ts";
import { transactionMs } from "./limits.ts";

export type RepeatedFinalHandlers = {
  /** Says it again, so long after it was said first. */
  again(ageMs: number): void;
  /** No ACK has come in time. */
  unacknowledged(): void;
};

/** A final response to an INVITE that is said until its ACK comes: RFC 3261 13.3.1.4 for a 2xx, Timers G and H of 17.2.1 for others. */
export class RepeatedFinal {
  readonly #time: PhoneTime;
  readonly #handlers: RepeatedFinalHandlers;
  readonly #startedAt: number;
  #timer: Planned;
  #intervalMs = t1Ms;
  /** How often it has been said. */
  sends = 1;

  /** It has been said once, just now. */
  constructor(time: PhoneTime, handlers: RepeatedFinalHandlers) {
    this.#time = time;
    this.#handlers = handlers;
    this.#startedAt = time.now;
    this.#timer = time.after(this.#intervalMs, () => this.#repeat());
  }

  /** Its ACK is here, or its call is over. */
  stop(): void {
    this.#timer.cancel();
  }

  #repeat(): void {
    const ageMs = this.#time.now - this.#startedAt;
    if (ageMs >= transactionMs) return this.#handlers.unacknowledged();
    this.sends += 1;
    this.#handlers.again(ageMs);
    this.#intervalMs = Math.min(2 * this.#intervalMs, t2Ms);
    this.#timer = this.#time.after(this.#intervalMs, () => this.#repeat());
  }
}
