import { setTimeout as delay } from "node:timers/promises";
import type { Bench, Work } from "../bench.ts";
import { freePorts } from "../../kit/world/free-ports.ts";
import { type Callees, callLoad } from "../load.ts";
import type { Measured, Row } from "../report.ts";
import { SipClient } from "../sip-client.ts";
import { median, percentile } from "../statistics.ts";
import type { System, SystemName } from "../system.ts";
import { calleesOf, withCallees } from "./calls.ts";

const callsPerSecond = 500;
const probesPerSecond = 50;
const talkMs = 1_000;

/**
 * INVITE to 180 of calls that the bench itself makes among SIPp's, since SIPp's clock ticks in milliseconds. What the callee and the
 * machine take, measured by calling it directly under the same load, is subtracted.
 */
export const latency: Work = {
  name: "latency",
  summary: `INVITE to 180 at ${callsPerSecond} calls/s, added to what a direct call takes`,
  run: async (bench) => {
    const names: SystemName[] = ["tandem", "kamailio", "kamailio+dmq"];
    const p99 = new Map<SystemName, number[]>();
    const p50 = await withCallees(bench, names, "UDP", async (systems, callees) => {
      const samples = new Map<SystemName, number[]>();
      for (let round = 0; round <= bench.options.rounds; round += 1) {
        for (const system of systems) {
          const { direct, through, failed } = await roundOf(bench, system, calleesOf(callees, system));
          const added = (percent: number): number => percentile(through, percent) - percentile(direct, percent);
          const direct50 = percentile(direct, 50).toFixed(2);
          bench.options.log(
            `  ${round === 0 ? "warm-up" : `round ${round}`} ${system.name}: p50 ${added(50).toFixed(2)} ms, p99 ${added(99).toFixed(2)} ms, ` +
              `direct p50 ${direct50} ms, ${through.length} probes, ${failed} failed`,
          );
          if (round === 0) continue;
          samples.set(system.name, [...(samples.get(system.name) ?? []), added(50)]);
          p99.set(system.name, [...(p99.get(system.name) ?? []), added(99)]);
        }
      }
      return measuredOf(samples);
    });
    const rows: Row[] = [
      { measure: `INVITE to 180, added, ${callsPerSecond}/s, p50`, unit: "ms", systems: p50, goal: { of: "value", atMost: 3 } },
      {
        measure: `INVITE to 180, added, ${callsPerSecond}/s, p99`,
        unit: "ms",
        systems: measuredOf(p99),
        goal: { of: "value", atMost: 20 },
      },
    ];
    return rows;
  },
};

function measuredOf(samples: ReadonlyMap<SystemName, number[]>): Partial<Record<SystemName, Measured>> {
  return Object.fromEntries([...samples].map(([name, values]) => [name, { value: median(values), samples: values }]));
}

type Round = { readonly direct: readonly number[]; readonly through: readonly number[]; readonly failed: number };

/** Probes through the system and to the callee itself, in turn, while SIPp calls. */
async function roundOf(bench: Bench, system: System, callees: Callees): Promise<Round> {
  const seconds = bench.pick(15, 4);
  const plan = { transport: "UDP", callsPerSecond: callsPerSecond - probesPerSecond, seconds, talkMs } as const;
  const client = await SipClient.open(system.sip, await freePorts(1));
  try {
    const load = callLoad(bench.programs, system, callees, plan);
    // The load has begun by then, and still goes on at the end.
    await delay(1_000);
    const [direct, through]: [number[], number[]] = [[], []];
    const probes: Promise<void>[] = [];
    const count = probesPerSecond * (seconds - 2);
    for (let index = 0; index < count; index += 1) {
      const user = callees.users[index % callees.users.length] ?? "";
      probes.push(client.call(system.domain, user).then((ms) => void through.push(ms)));
      probes.push(client.call(system.domain, user, callees.endpoint).then((ms) => void direct.push(ms)));
      await delay(1000 / probesPerSecond);
    }
    const outcomes = await Promise.allSettled(probes);
    const { failed } = await load;
    return { direct, through, failed: failed + outcomes.filter(({ status }) => status === "rejected").length };
  } finally {
    await client.close();
  }
}
