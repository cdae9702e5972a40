import { setTimeout as delay } from "node:timers/promises";
import type { Work } from "../bench.ts";
import { registerLoad } from "../load.ts";
import { cpuSecondsOf } from "../process-usage.ts";
import type { Measured } from "../report.ts";
import type { SystemName } from "../system.ts";

const phones = 1_000;

/** CPU time of a system that has registrations and nothing to do. */
export const idle: Work = {
  name: "idle",
  summary: "CPU when idle, with 1000 registrations, after a quarter of a minute of quiet",
  run: async (bench) => {
    const seconds = bench.pick(60, 10);
    const names: SystemName[] = ["tandem", "kamailio", "kamailio+dmq"];
    const systems = await bench.withSystems(names, {}, async (started) => {
      for (const system of started) {
        await registerLoad(bench.programs, system, { scenario: "register-new", callsPerSecond: 500, calls: phones, prefix: "i" });
      }
      // An object hibernates after about ten seconds without anything to do.
      await delay(bench.pick(15_000, 5_000));
      const before = started.map((system) => cpuSecondsOf(system.processes()));
      const watchersBefore = started.map((system) => cpuSecondsOf(system.watchers));
      await delay(seconds * 1000);
      return Object.fromEntries(
        started.map((system, index): [SystemName, Measured] => {
          const share = ((cpuSecondsOf(system.processes()) - (before[index] ?? 0)) / seconds) * 100;
          const watched = ((cpuSecondsOf(system.watchers) - (watchersBefore[index] ?? 0)) / seconds) * 100;
          bench.options.log(`  ${system.name}: ${share.toFixed(2)} % of a core, its supervisor ${watched.toFixed(2)} %`);
          return [system.name, { value: share, samples: [share] }];
        }),
      );
    });
    return [{ measure: "idle", unit: "% of a core", systems, goal: { of: "value", atMost: 1 } }];
  },
};
