import { readLateKnownMs, readLateLastingMs, readLateMsMax, readLateMsMin, readLateSaidMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * How old what this replica reads is: on a machine that is starved answers wait in sockets, unread, while timers ring. A timer that says "nobody has
 * answered" would say everything again to phones that have. Each copy and each answer to it makes the replica later. So timers ring by the time at
 * which what is being read was sent.
 */
export class Lateness {
  #ms = 0;
  #measuredAt = 0;
  /** Since when everything that was measured was late enough to be said; undefined: the last was not. */
  #lateSince: SteadyMs | undefined;
  #isSaid = false;

  /** An answer has been read so long after its question. Returns what is to be said of it, once when it lasts and once when it is over. */
  measured(roundTripMs: number, now: SteadyMs): string | undefined {
    this.#ms = roundTripMs < readLateMsMin ? 0 : Math.min(roundTripMs, readLateMsMax);
    this.#measuredAt = now;
    if (roundTripMs >= readLateSaidMs) {
      this.#lateSince ??= now;
      if (this.#isSaid || now - this.#lateSince < readLateLastingMs) return undefined;
      this.#isSaid = true;
      return `reads what gateways bring ${(roundTripMs / 1_000).toFixed(1)} s late: its machine is too busy, calls take as much longer`;
    }
    this.#lateSince = undefined;
    if (!this.#isSaid || this.#ms > 0) return undefined;
    this.#isSaid = false;
    return "reads in time again";
  }

  /** As last measured, ms. */
  get ms(): number {
    return this.#ms;
  }

  /** The time up to which silence is silence, ms. */
  readUntil(now: SteadyMs): number {
    if (this.#ms > 0 && now - this.#measuredAt > Math.max(readLateKnownMs, this.#ms)) this.#ms = 0;
    return now - this.#ms;
  }
}
