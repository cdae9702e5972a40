import {
  shedBeginsDelayMs,
  shedBeginsMs,
  shedColdMs,
  shedDelayMs,
  shedDelayMsMax,
  shedEndsMs,
  shedPerSecondLate,
  shedPerSecondLater,
  shedShareMax,
  shedShareMin,
  shedSoonDelayMs,
  shedSoonMs,
  shedStallMs,
  shedStepMax,
  shedTrendMs,
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
 * It begins when all of two seconds was late, or of half a second where far more is waited. It does not begin while the queue shrinks, nor by what was
 * given to a cell before it stood still and came back. Who is slow for a moment and catches up refuses nobody. For some seconds after a start or a takeover both bounds must be passed. It ends when nothing was refused
 * for a second, and nothing was late. No clock: `now` is an argument.
 */
export class Shedding {
  #share = 0;
  #isOn = false;
  #onSince: SteadyMs = 0;
  #delayMs = 0;
  /** Since when all that was measured was late, ms. */
  #lateSince: SteadyMs | undefined;
  /** Since when nothing at all was answered, ms. */
  #silentSince: SteadyMs | undefined;
  /** What was in time stood still, until then, and so much was waited at its end. What was given to it before is worked off. */
  #stall: { readonly endedAt: SteadyMs; readonly delayMs: number } | undefined;
  /** Since when nothing is refused and nothing is late, ms. */
  #calmSince: SteadyMs | undefined;
  #updatedAt = Number.NEGATIVE_INFINITY;
  /** The mean of what was measured lately, since input is late, ms. */
  #meanMs = 0;
  /** Until when code is cold and phones come back, ms; undefined: nothing was measured yet. */
  #coldUntil: SteadyMs | undefined;

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
    this.#coldUntil ??= now + shedColdMs;
    this.#updatedAt = now;
    // Nobody has asked for so long that nothing is known of before.
    if (passedMs >= shedEndsMs && !this.#isOn) this.#lateSince = undefined;
    if (delayMs === undefined) {
      this.#silentSince ??= now;
      return undefined;
    }
    const before = this.#delayMs;
    this.#delayMs = Math.min(delayMs, shedDelayMsMax);
    const isWorkedOff = this.#isWorkedOff(delayMs, now);
    if (delayMs <= shedDelayMs || isWorkedOff) this.#lateSince = undefined;
    else if (this.#lateSince === undefined) [this.#lateSince, this.#meanMs] = [now, delayMs];
    this.#meanMs += (delayMs - this.#meanMs) * Math.min(1, passedMs / shedTrendMs);
    if (!this.#isOn) return this.#mayBegin(delayMs, now);
    const change =
      (((this.#delayMs - shedDelayMs) * shedPerSecondLate + (this.#delayMs - before) * shedPerSecondLater) / 1_000) *
      (passedMs / shedUpdateMs);
    const step = shedStepMax * (passedMs / shedUpdateMs);
    this.#share = Math.min(shedShareMax, Math.max(0, this.#share + Math.min(step, Math.max(-step, change))));
    if (this.#share < shedShareMin) this.#share = 0;
    return this.#mayEnd(now);
  }

  /** What was given to it goes elsewhere from here on, or is all said again: what is late now tells little. */
  disturbed(now: SteadyMs): void {
    this.#coldUntil = now + shedColdMs;
    if (!this.#isOn) this.#lateSince = undefined;
  }

  /**
   * What was in time stood still, and this was given to it before that ended: it tells of the stall, and not of what comes. Unless more is waited than
   * the stall has left: then more comes than is done.
   */
  #isWorkedOff(delayMs: number, now: SteadyMs): boolean {
    const hasStood = this.#silentSince !== undefined && now - this.#silentSince >= shedStallMs;
    this.#silentSince = undefined;
    if (delayMs <= shedDelayMs || this.#isOn) this.#stall = undefined;
    else if (this.#stall === undefined && this.#lateSince === undefined && hasStood) this.#stall = { endedAt: now, delayMs };
    if (this.#stall === undefined) return false;
    const { endedAt, delayMs: left } = this.#stall;
    if (now - delayMs <= endedAt && delayMs < left + shedBeginsDelayMs) return true;
    this.#stall = undefined;
    return false;
  }

  #mayBegin(delayMs: number, now: SteadyMs): ShedNews | undefined {
    const lateMs = now - (this.#lateSince ?? now);
    const isLong = lateMs >= shedBeginsMs && delayMs > shedBeginsDelayMs;
    const isMuch = lateMs >= shedSoonMs && delayMs >= shedSoonDelayMs;
    const isCold = this.#coldUntil !== undefined && now < this.#coldUntil;
    if (isCold ? !(isLong && isMuch) : !(isLong || isMuch)) return undefined;
    // A queue that shrinks is served.
    if (delayMs < this.#meanMs) return undefined;
    this.#isOn = true;
    this.#onSince = now;
    this.#calmSince = undefined;
    // In this time came as much more than was done as waits now.
    this.#share = Math.min(shedShareMax, delayMs / (delayMs + lateMs));
    return "began";
  }

  #mayEnd(now: SteadyMs): ShedNews | undefined {
    if (this.#share > 0 || this.#delayMs > shedDelayMs) this.#calmSince = undefined;
    else this.#calmSince ??= now;
    if (this.#calmSince === undefined || now - this.#calmSince < shedEndsMs) return undefined;
    this.#isOn = false;
    this.#lateSince = undefined;
    return "ended";
  }
}
