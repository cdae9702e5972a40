import { setTimeout as delay } from "node:timers/promises";
import type { Bench, LoadResult, Work } from "../bench.ts";
import { Callees, callLoad } from "../load.ts";
import { cpuSecondsOf, switchesOf } from "../process-usage.ts";
import type { Row } from "../report.ts";
import { median } from "../statistics.ts";
import type { System } from "../system.ts";
import { startPhones } from "./phone-calls.ts";

const talkMs = 1_000;
/** Enough for six cells, two primaries each. */
const exchanges = 12;

/** What is measured: calls over UDP come through a gateway, softphones are at the cells. */
type Kind = { readonly transport: "UDP" | "WS"; readonly callsPerSecond: number; readonly cellCounts: readonly number[] };

/** What is measured of one system in one round. `Us`: CPU time of a call without what the same processes use when nothing happens. */
type Round = {
  readonly us: number;
  readonly cellsUs: number;
  readonly gatewayUs: number;
  /** Times that a call had a thread of a cell begin anew. */
  readonly switches: number;
  readonly idlePercent: number;
};

type Sample = { readonly cells: number; readonly rounds: Round[]; failed: number };

const measures: readonly (readonly [field: keyof Round, name: string, unit: string])[] = [
  ["us", "", "us of CPU each"],
  ["cellsUs", ": cells alone", "us of CPU each"],
  ["gatewayUs", ": gateway alone", "us of CPU each"],
  ["switches", ": threads of cells that wake", "each"],
  ["idlePercent", ": when idle", "% of a core"],
];

/**
 * What the same calls to the same exchanges cost in more cells. Frames and batches are of exchanges, so there are as many. Each cell is a process, and processes
 * cost something when nothing happens: that is subtracted, and told apart.
 */
export const cells: Work = workOf("cells", { transport: "UDP", callsPerSecond: 200, cellCounts: [2, 4, 6] });

/** The more cells, the more softphones have their line in a cell without the exchange that they speak to. */
export const cellsOfSoftphones: Work = workOf("cells-ws", { transport: "WS", callsPerSecond: 100, cellCounts: [2, 4] });

function workOf(name: string, kind: Kind): Work {
  const { transport, callsPerSecond, cellCounts } = kind;
  return {
    name,
    summary: `CPU time of a call over ${transport} with ${exchanges} exchanges in ${cellCounts.join(", ")} cells, without what these use when idle; runs only when it is named`,
    isExtra: true,
    run: async (bench) => {
      const samples = cellCounts.map((count): Sample => ({ cells: count, rounds: [], failed: 0 }));
      for (let round = 1; round <= bench.options.rounds; round += 1) for (const sample of samples) await measure(bench, kind, sample);
      return samples.flatMap(({ cells: count, rounds, failed }) =>
        measures.map(([field, what, unit]): Row => {
          const values = rounds.map((each) => each[field]);
          return {
            measure: `call over ${transport}, ${callsPerSecond}/s, ${exchanges} exchanges in ${count} cells${what}`,
            unit,
            systems: { tandem: { value: median(values), samples: values, failed } },
            at: { cells: count, exchanges },
          };
        }),
      );
    },
  };
}

async function measure(bench: Bench, kind: Kind, sample: Sample): Promise<void> {
  await bench.withSystems(["tandem"], { cells: sample.cells, exchanges }, async ([system]) => {
    if (system === undefined) return;
    const phones = await phonesOf(bench, system, kind);
    try {
      const seconds = bench.roundSeconds(10, 3);
      await phones.call(4);
      // Timers of transactions, call records and flushes of the warm-up end.
      await delay(bench.pick(8_000, 2_000));
      const idle = await usedWhile(system, async () => await delay(bench.pick(15_000, 3_000)));
      let units = 1;
      const busy = await usedWhile(system, async () => {
        const result = await phones.call(seconds);
        units = result.units;
        sample.failed += result.failed;
        await delay(bench.pick(6_000, 1_500));
      });
      const each = (of: (use: Use) => number): number => (of(busy) - (of(idle) * busy.seconds) / idle.seconds) / units;
      const round: Round = {
        us: each((use) => use.cells + use.gateways) * 1e6,
        cellsUs: each((use) => use.cells) * 1e6,
        gatewayUs: each((use) => use.gateways) * 1e6,
        switches: each((use) => use.switches),
        idlePercent: ((idle.cells + idle.gateways) / idle.seconds) * 100,
      };
      sample.rounds.push(round);
      bench.options.log(
        `  ${sample.cells} cells: ${round.us.toFixed(0)} us, of them cells ${round.cellsUs.toFixed(0)}, ${round.switches.toFixed(1)} threads woken, idle ${round.idlePercent.toFixed(1)} %, ${sample.failed} failed`,
      );
    } finally {
      await phones.stop();
    }
  });
}

/** Phones that make calls for so many seconds. */
async function phonesOf(
  bench: Bench,
  system: System,
  { transport, callsPerSecond }: Kind,
): Promise<{ call(seconds: number): Promise<LoadResult>; stop(): Promise<void> }> {
  const order = { callsPerSecond, talkMs, patienceMs: 10_000 };
  if (transport === "WS") {
    const phones = await startPhones(bench, system, "ws");
    return { call: async (seconds) => await phones.run({ ...order, seconds }), stop: async () => await phones.stop() };
  }
  const callees = await Callees.start(bench.programs, system, { transport, count: 200 });
  return {
    call: async (seconds) => await callLoad(bench.programs, system, callees, { ...order, transport, seconds }),
    stop: async () => await callees.stop(),
  };
}

/** What a system has used in some time: seconds, and threads woken. */
type Use = { readonly seconds: number; readonly cells: number; readonly gateways: number; readonly switches: number };

async function usedWhile(system: System, act: () => Promise<void>): Promise<Use> {
  const { cells: ofCells = [], gateways = [] } = system.parts ?? {};
  const look = (): readonly [number, number, number] => [cpuSecondsOf(ofCells), cpuSecondsOf(gateways), switchesOf(ofCells)];
  const startedAt = performance.now();
  const before = look();
  await act();
  const after = look();
  const [cellSeconds = 0, gatewaySeconds = 0, switches = 0] = after.map((value, index) => value - (before[index] ?? 0));
  return { seconds: (performance.now() - startedAt) / 1000, cells: cellSeconds, gateways: gatewaySeconds, switches };
}
