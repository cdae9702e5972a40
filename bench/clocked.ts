import type { LoadResult } from "./bench.ts";
import type { Row } from "./report.ts";
import { percentile } from "./statistics.ts";
import type { SystemName } from "./system.ts";

/**
 * What SIPp's own clock says of all its messages, as whoever runs SIPp sees it. That is the kernel's coarse clock: it ticks every 4 ms on most
 * machines, so that medians below that are 0 or 4. The time that messages wait at SIPp's own sockets is in it.
 */
export class Clocked {
  readonly #times = new Map<string, Map<SystemName, number[]>>();

  add(system: SystemName, { clocked = {} }: LoadResult): void {
    for (const [what, times] of Object.entries(clocked)) {
      const systems = this.#times.get(what) ?? new Map<SystemName, number[]>();
      this.#times.set(what, systems);
      systems.set(system, [...(systems.get(system) ?? []), ...times]);
    }
  }

  rowsOf(at: string): Row[] {
    return [...this.#times].map(([what, systems]) => ({
      measure: `${what} by SIPp's clock, ${at}`,
      unit: "ms, p50 / p99 / p99.9",
      systems: Object.fromEntries(
        [...systems].map(([name, times]) => {
          const value = percentile(times, 50);
          return [name, { value, p99: percentile(times, 99), p999: percentile(times, 99.9), samples: [value] }];
        }),
      ),
    }));
  }
}
