import type { Work } from "../bench.ts";
import { callLoad } from "../load.ts";
import type { Row } from "../report.ts";
import { median } from "../statistics.ts";
import { calleesOf, withCallees } from "./calls.ts";

const callsPerSecond = 1_000;
const talkMs = 1_000;

/**
 * What it costs that every record is in two cells: the same calls to a system that replicates and to one that does not, in turn. The ratio
 * is that of each round's two figures, then the median of the rounds.
 */
export const replication: Work = {
  name: "replication",
  summary: `calls at ${callsPerSecond}/s with replication and without, as a ratio`,
  run: async (bench) => {
    const plan = { transport: "UDP", callsPerSecond, seconds: bench.roundSeconds(10, 3), talkMs } as const;
    const { tandem, "tandem alone": alone } = await withCallees(
      bench,
      ["tandem", "tandem alone"],
      "UDP",
      async (systems, callees) =>
        await bench.cpuRounds(systems, async (system) => await callLoad(bench.programs, system, calleesOf(callees, system), plan)),
    );
    if (tandem === undefined || alone === undefined) throw new Error("unreachable: both were measured");
    const unit = "us of CPU each";
    const ratios = tandem.samples.map((us, round) => us / (alone.samples[round] ?? Number.NaN));
    return [
      { measure: `call over UDP, ${callsPerSecond}/s`, unit, systems: { tandem } },
      { measure: "the same without replication", unit, systems: { tandem: alone } },
      { measure: "replicated over not replicated", unit: "ratio", systems: { tandem: { value: median(ratios), samples: ratios } } },
    ] satisfies Row[];
  },
};
