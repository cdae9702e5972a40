import {
  shedBeginsDelayMs,
  shedBeginsMs,
  shedDelayMs,
  shedDelayMsMax,
  shedEndsMs,
  shedPerSecondLate,
  shedPerSecondLater,
  shedShareMax,
  shedShareMin,
  shedStepMax,
  shedUpdateMs,
} from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** What has become of it: news for the log. */
export type ShedNews = "began" | "ended";

/**
 * Which share of new requests is refused, so that what is taken is answered in time. It goes by how long input waits, and by nothing that is counted:
 * no rate has to be known or set. The share follows the delay as PIE does (RFC 8033): it grows while the delay is over its bound or rises. It
 * shrinks when the delay is below, or falls.
 *
 * It begins when every delay of half a second was over the bound, and the last is so long that phones say again what they have said. A moment of a busy machine is none, nor is a takeover. It ends when nothing was refused
 * for a second, and nothing was late. No clock: `now` is an argument.
 */
export class Shedding {
  #share = 0;
  #isOn = false;
  #onSince: SteadyMs = 0;
  #delayMs = 0;
  /** When input was last in time, ms. */
  #inTimeAt = Number.NEGATIVE_INFINITY;
  /** Since when nothing is refused and nothing is late, ms. */
  #calmSince: SteadyMs | undefined;
  #updatedAt = Number.NEGATIVE_INFINITY;

  /** Of new requests, those that are refused: from 0 to 1. */
  get share(): number {
    return this.#share;
  }

  /** It has begun, and has not ended. */
  get isOn(): boolean {
    return this.#isOn;
  }

  /** For how long it has lasted, ms; 0: it is not on. */
  onForMs(now: SteadyMs): number {
    return this.#isOn ? now - this.#onSince : 0;
  }

  /** Input is late, though nothing may be refused yet. */
  get isAlert(): boolean {
    return this.#isOn || this.#delayMs > shedDelayMs / 2;
  }

  /** As last measured, ms. */
  get delayMs(): number {
    return this.#delayMs;
  }

  /** True: it is time to measure again. */
  isDue(now: SteadyMs): boolean {
    return now - this.#updatedAt >= shedUpdateMs;
  }

  /** How long input waited, the least of what was measured since the last time. Undefined: nothing was answered meanwhile, and silence is not lateness. */
  measured(delayMs: number | undefined, now: SteadyMs): ShedNews | undefined {
    const passedMs = Math.min(now - this.#updatedAt, shedEndsMs);
    this.#updatedAt = now;
    // Nobody has asked for so long that nothing is known of before.
    if (passedMs >= shedEndsMs && !this.#isOn) this.#inTimeAt = now;
    if (delayMs === undefined) return undefined;
    const before = this.#delayMs;
    this.#delayMs = Math.min(delayMs, shedDelayMsMax);
    if (this.#delayMs <= shedDelayMs) this.#inTimeAt = now;
    if (!this.#isOn) return this.#mayBegin(now);
    const change =
      (((this.#delayMs - shedDelayMs) * shedPerSecondLate + (this.#delayMs - before) * shedPerSecondLater) / 1_000) *
      (passedMs / shedUpdateMs);
    const step = shedStepMax * (passedMs / shedUpdateMs);
    this.#share = Math.min(shedShareMax, Math.max(0, this.#share + Math.min(step, Math.max(-step, change))));
    if (this.#share < shedShareMin) this.#share = 0;
    return this.#mayEnd(now);
  }

  /** What was given to it goes elsewhere from here on, or is all said again: what is late now tells nothing, unless it lasts. */
  disturbed(now: SteadyMs): void {
    if (!this.#isOn) this.#inTimeAt = now + shedBeginsMs;
  }

  #mayBegin(now: SteadyMs): ShedNews | undefined {
    const lateMs = now - this.#inTimeAt;
    if (this.#delayMs <= shedBeginsDelayMs || lateMs < shedBeginsMs) return undefined;
    this.#isOn = true;
    this.#onSince = now;
    this.#calmSince = undefined;
    // In this time came as much more than was done as waits now.
    this.#share = Math.min(shedShareMax, this.#delayMs / (this.#delayMs + lateMs));
    return "began";
  }

  #mayEnd(now: SteadyMs): ShedNews | undefined {
    if (this.#share > 0 || this.#delayMs > shedDelayMs) this.#calmSince = undefined;
    else this.#calmSince ??= now;
    if (this.#calmSince === undefined || now - this.#calmSince < shedEndsMs) return undefined;
    this.#isOn = false;
    this.#inTimeAt = now;
    return "ended";
  }
}
