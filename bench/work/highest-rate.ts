import { setTimeout as delay } from "node:timers/promises";
import type { Bench, Work } from "../bench.ts";
import { type Callees, callLoad } from "../load.ts";
import { cpuSecondsOf } from "../process-usage.ts";
import { RateSearch } from "../rate-search.ts";
import { median } from "../statistics.ts";
import type { System, SystemName } from "../system.ts";
import { calleesOf, withCallees } from "./calls.ts";

const talkMs = 1_000;
/** SIPp is to have kept its rate: its calls take no longer than this, against the time that they were to take. */
const lateMax = 1.15;
const quietShare = 0.05;
const quietMsMax = 40_000;

/** The highest rate of calls at which none fails, found by bisecting; a probe of one system comes after a probe of the other. */
export const highestRate: Work = {
  name: "highest-rate",
  summary: "most calls/s over UDP with no failed call",
  run: async (bench) => {
    const names: SystemName[] = ["tandem", "kamailio"];
    const systems = await withCallees(bench, names, "UDP", async (started, callees) => {
      const found = new Map<SystemName, number[]>(names.map((name) => [name, []]));
      for (let round = 0; round < bench.pick(Math.min(3, bench.options.rounds), 1); round += 1) {
        for (const [name, rate] of await searchAll(bench, started, (system) => calleesOf(callees, system))) found.get(name)?.push(rate);
      }
      return Object.fromEntries([...found].map(([name, samples]) => [name, { value: median(samples), samples }]));
    });
    return [{ measure: "highest rate without a failed call", unit: "calls/s", systems, goal: { of: "ratio", atLeast: 1 } }];
  },
};

async function searchAll(
  bench: Bench,
  systems: readonly System[],
  calleesOfSystem: (system: System) => Callees,
): Promise<Map<SystemName, number>> {
  const precision = bench.pick(5, 20) / 100;
  const searches = systems.map((system) => ({ system, search: new RateSearch({ first: 500, max: 8_000, precision }) }));
  for (let isDone = false; !isDone;) {
    isDone = true;
    for (const { system, search } of searches) {
      const rate = search.next();
      if (rate === undefined) continue;
      isDone = false;
      const passed = await probe(bench, system, calleesOfSystem(system), rate);
      search.report(rate, passed);
    }
  }
  return new Map(searches.map(({ system, search }) => [system.name, search.best]));
}

async function probe(bench: Bench, system: System, callees: Callees, callsPerSecond: number): Promise<boolean> {
  const plan = { transport: "UDP", callsPerSecond, seconds: bench.pick(8, 3), talkMs, patienceMs: 4_000 } as const;
  const result = await callLoad(bench.programs, system, callees, plan);
  // The caller's end comes with its last call: a second of talk, the ringing, and what starting SIPp takes.
  const isLate = result.seconds > plan.seconds * lateMax + 2;
  const passed = result.failed === 0 && !isLate;
  const why = result.failed > 0 ? `${result.failed} failed` : isLate ? `took ${result.seconds.toFixed(1)} s` : "all well";
  bench.options.log(`  ${system.name} at ${callsPerSecond}/s: ${why}, ${result.retransmissions} sent again`);
  await untilQuiet(system);
  return passed;
}

/** What a failed probe left, retransmissions above all, must not meet the next one. */
async function untilQuiet(system: System): Promise<void> {
  const pids = system.processes();
  const until = performance.now() + quietMsMax;
  for (let before = cpuSecondsOf(pids); performance.now() < until;) {
    await delay(1_000);
    const now = cpuSecondsOf(pids);
    if (now - before < quietShare) return;
    before = now;
  }
}
