import { setTimeout as delay } from "node:timers/promises";
import type { Bench, Work } from "../bench.ts";
import type { MeterReport } from "../cost/meter.ts";
import { MeteredSystem } from "../cost/metered-system.ts";
import { registerLoad } from "../load.ts";
import { cpuSecondsOf } from "../process-usage.ts";
import type { Measured, Row } from "../report.ts";
import type { SoftphonesOutcome } from "../softphones.ts";
import type { SystemName } from "../system.ts";
import { startSoftphones } from "./softphones.ts";

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
      // Until what REGISTERs leave behind is over.
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

const softphoneCount = 100;
/** Timers of transactions end after 32 s, an object sleeps some 10 s later. */
const asleepMs = 50_000;

/**
 * Objects that are awake although nothing happens. Whoever is asked afterwards and then starts anew had slept: that is what is counted, so it
 * needs a system whose cells say when their objects started. The core groups beat every second, and are left out.
 */
export const objectsAwake: Work = {
  name: "objects-awake",
  summary: "objects awake when idle, with 1000 registrations and 100 softphones, after a minute of quiet",
  run: async (bench) => {
    const system = await MeteredSystem.start(bench.programs);
    try {
      return [await awakeRow(bench, system)];
    } finally {
      await system.stop();
    }
  },
};

async function awakeRow(bench: Bench, system: MeteredSystem): Promise<Row> {
  await registerLoad(bench.programs, system, { scenario: "register-new", callsPerSecond: 500, calls: phones, prefix: "i" });
  const softphones = await startSoftphones(bench, system, softphoneCount, 10, system.webSockets);
  try {
    await softphones.next<SoftphonesOutcome>();
    softphones.tell("register");
    await softphones.next<SoftphonesOutcome>();
    await delay(asleepMs);
    const before = await system.read();
    // Every replica is asked for its counts, every line has something to carry.
    await system.touch();
    softphones.tell("register");
    await softphones.next<SoftphonesOutcome>();
    const after = await system.read();
    const all = objectsOf(before);
    const started = objectsOf(after);
    const awake = [...all].filter(([name, startedAt]) => started.get(name) === startedAt).map(([name]) => name);
    bench.options.log(`  ${all.size} objects beside the core groups, awake: ${awake.join(", ") || "none"}`);
    const tandem = { value: awake.length, samples: [awake.length] };
    return { measure: "idle: objects awake but the core groups", unit: "objects", systems: { tandem }, goal: { of: "value", atMost: 0 } };
  } finally {
    await softphones.stop();
  }
}

/** When each exchange, line and ledger of each cell last started. */
function objectsOf(reports: readonly MeterReport[]): Map<string, number> {
  const objects = new Map<string, number>();
  for (const [cell, report] of reports.entries()) {
    for (const kind of ["exchange", "line", "ledger"]) {
      for (const [name, startedAt] of Object.entries(report.objects[kind]?.startedAt ?? {}))
        objects.set(`${name} of cell ${cell}`, startedAt);
    }
  }
  return objects;
}
