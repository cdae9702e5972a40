import { setTimeout as delay } from "node:timers/promises";
import type { Bench, Work } from "../bench.ts";
import { Callees, callLoad } from "../load.ts";
import { cpuSecondsOf } from "../process-usage.ts";
import type { Row } from "../report.ts";
import { median } from "../statistics.ts";

const callsPerSecond = 500;
const talkMs = 1_000;

type Size = { readonly cells: number; readonly exchanges: number };

/** One dial is turned at a time: how many exchanges between two cells, how many cells for eight exchanges. */
const sizes: readonly Size[] = [
  ...[1, 2, 4, 8, 16, 32, 64].map((exchanges) => ({ cells: 2, exchanges })),
  ...[1, 4].map((cells) => ({ cells, exchanges: 8 })),
];

type Sample = { readonly size: Size; readonly us: number[]; readonly cellsUs: number[]; failed: number };

/**
 * CPU time of a call as a system gets more parts. All of them share the cores of one machine, so calls/s cannot grow here: what growing costs is what
 * can be measured, and that is CPU time of a call. Each round starts every size anew.
 */
export const scale: Work = {
  name: "scale",
  summary: "CPU time of a call with 1 to 64 exchanges and 1 to 4 cells; runs only when it is named",
  isExtra: true,
  run: async (bench) => {
    const samples = sizes.map((size): Sample => ({ size, us: [], cellsUs: [], failed: 0 }));
    for (let round = 1; round <= bench.options.rounds; round += 1) for (const sample of samples) await measure(bench, sample);
    return samples.flatMap(({ size, us, cellsUs, failed }): Row[] => {
      const what = `call over UDP, ${callsPerSecond}/s, ${size.cells} cells, ${size.exchanges} exchanges`;
      const row = (measured: string, values: readonly number[]): Row => ({
        measure: measured,
        unit: "us of CPU each",
        systems: { tandem: { value: median(values), samples: values, failed } },
        at: size,
      });
      return [row(what, us), row(`${what}: cells alone`, cellsUs)];
    });
  },
};

async function measure(bench: Bench, sample: Sample): Promise<void> {
  const { size, us, cellsUs } = sample;
  await bench.withSystems(["tandem"], size, async ([system]) => {
    if (system === undefined) return;
    const callees = await Callees.start(bench.programs, system, { transport: "UDP", count: 200 });
    try {
      const plan = { transport: "UDP", callsPerSecond, seconds: bench.pick(8, 3), talkMs, patienceMs: 10_000 } as const;
      await callLoad(bench.programs, system, callees, { ...plan, seconds: 4 });
      const all = system.processes();
      const cells = all.slice(0, size.cells);
      const before = [cpuSecondsOf(all), cpuSecondsOf(cells)];
      const { failed, units } = await callLoad(bench.programs, system, callees, plan);
      await delay(bench.pick(6_000, 1_500));
      us.push(((cpuSecondsOf(all) - (before[0] ?? 0)) * 1e6) / units);
      cellsUs.push(((cpuSecondsOf(cells) - (before[1] ?? 0)) * 1e6) / units);
      sample.failed += failed;
      bench.options.log(
        `  ${size.cells} cells, ${size.exchanges} exchanges: ${us.at(-1)?.toFixed(0)} us, of them cells ${cellsUs.at(-1)?.toFixed(0)}, ${failed} failed`,
      );
    } finally {
      await callees.stop();
    }
  });
}
