import { busyMachineFactor, overloadKnownMs } from "../limits.ts";
import type { HeartbeatSettings } from "./view.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** How long members may be silent before they count as down, and from when on their silence is held against them. */
export class Patience {
  #graceFrom: number;
  /** Members may be late until then, ms. */
  #overloadedUntil = Number.NEGATIVE_INFINITY;

  constructor(now: SteadyMs) {
    this.#graceFrom = now;
  }

  /** Silence before this is not held against anybody: this group was not there to hear, or others were asked less often. */
  get graceFrom(): number {
    return this.#graceFrom;
  }

  beginAnew(now: SteadyMs): void {
    this.#graceFrom = now;
  }

  /** Somebody has too much to do. */
  overloaded(now: SteadyMs): void {
    this.#overloadedUntil = now + overloadKnownMs;
  }

  /** The settings that count now: while there is too much to do members may be silent for longer. */
  of(heartbeat: HeartbeatSettings, now: SteadyMs): HeartbeatSettings {
    return now < this.#overloadedUntil ? { ...heartbeat, missed: heartbeat.missed * busyMachineFactor } : heartbeat;
  }
}
