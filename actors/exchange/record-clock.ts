import { HybridClock } from "../../cluster/time/hybrid-clock.ts";
import type { Version } from "../../sip/record/version.ts";
import type { Clocks, SteadyMs, WallMs } from "../../sip/time.ts";

/** The time of records: events come at steady moments, records are versioned and end by the wall clock. */
export class RecordClock {
  readonly #versions: HybridClock;
  readonly #wallAt: Clocks["wallAt"];

  constructor(cell: string, wallAt: Clocks["wallAt"]) {
    this.#versions = new HybridClock(cell);
    this.#wallAt = wallAt;
  }

  get cell(): string {
    return this.#versions.cell;
  }

  wallAt(moment: SteadyMs): WallMs {
    return this.#wallAt(moment);
  }

  /** The version of a change made now. */
  tick(now: SteadyMs): Version {
    return this.#versions.tick(this.#wallAt(now));
  }

  /** See {@link HybridClock.observe}. */
  observe(version: Version): void {
    this.#versions.observe(version);
  }
}
