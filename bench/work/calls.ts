import type { Bench, Work } from "../bench.ts";
import { Clocked } from "../clocked.ts";
import { Callees, callLoad } from "../load.ts";
import type { Goal, Measured, Row } from "../report.ts";
import type { System, SystemName } from "../system.ts";

const calleeCount = 100;
const talkMs = 1_000;

function workOf(transport: "UDP" | "TCP", rate: number, names: readonly SystemName[], goal?: Goal): Work {
  return {
    name: `calls-${transport.toLowerCase()}-${rate}`,
    summary: `whole calls over ${transport} at ${rate}/s`,
    run: async (bench) => {
      const plan = { transport, callsPerSecond: rate, seconds: bench.roundSeconds(10, 3), talkMs };
      const systems = await withCallees(
        bench,
        names,
        transport,
        async (started, callees) =>
          await bench.cpuRounds(started, async (system) => await callLoad(bench.programs, system, calleesOf(callees, system), plan)),
      );
      const row: Row = { measure: `call over ${transport}, ${rate}/s`, unit: "us of CPU each", systems };
      // The same rounds under another heading: a row has one goal.
      const toNull: Row[] = systems.null === undefined ? [] : [nullRow(row)];
      return [goal === undefined ? row : { ...row, goal }, ...toNull];
    },
  };
}

function nullRow({ measure, unit, systems: { tandem, null: nothing } }: Row): Row {
  const systems = { ...(tandem === undefined ? {} : { tandem }), ...(nothing === undefined ? {} : { null: nothing }) };
  return { measure: `${measure}: real to null proxy`, unit, systems, goal: { of: "null", atMost: 2 } };
}

export const callWorks: readonly Work[] = [
  workOf("UDP", 200, ["tandem", "kamailio", "kamailio+dmq"], { of: "ratio", atMost: 1.8 }),
  workOf("UDP", 500, ["tandem", "kamailio", "kamailio+dmq"], { of: "ratio", atMost: 1.2 }),
  workOf("UDP", 1_500, ["tandem", "kamailio", "kamailio+dmq", "null"], { of: "ratio", atMost: 0.9 }),
  workOf("UDP", 2_500, ["tandem", "kamailio"]),
  workOf("TCP", 500, ["tandem", "kamailio"]),
  workOf("TCP", 1_500, ["tandem", "kamailio"]),
];

/** Whole calls for a minute: nothing is to be lost, said again, or dropped at anybody's socket. */
function minuteOf(rate: number): Work {
  return {
    name: `minute-udp-${rate}`,
    summary: `whole calls over UDP at ${rate}/s for a minute: what is lost, and dropped at sockets of default size`,
    run: async (bench) => {
      const clocked = new Clocked();
      const warmUpSeconds = bench.pick(10, 3);
      const seconds = bench.pick(60, 6);
      const systems = await withCallees(
        bench,
        ["tandem", "kamailio"],
        "UDP",
        async (started, callees) =>
          await bench.cpuRounds(
            started,
            async (system, round) => {
              const plan = { transport: "UDP", callsPerSecond: rate, seconds: round === 0 ? warmUpSeconds : seconds, talkMs } as const;
              const result = await callLoad(bench.programs, system, calleesOf(callees, system), plan);
              if (round > 0) clocked.add(system.name, result);
              return result;
            },
            1,
          ),
      );
      const lost = Object.entries(systems).map(([name, { failed = 0, retransmissions = 0, dropped = 0 }]) => {
        const value = failed + retransmissions + dropped;
        return [name, { value, samples: [value], failed, retransmissions, dropped }];
      });
      const at = `${rate} calls/s over UDP for ${seconds} s`;
      return [
        { measure: `${at}: failed, sent again, dropped`, unit: "all", systems: Object.fromEntries(lost), goal: { of: "value", atMost: 0 } },
        ...clocked.rowsOf(at),
        { measure: at, unit: "us of CPU each", systems },
      ];
    },
  };
}

export const minuteWorks: readonly Work[] = [500, 1_000, 1_500].map(minuteOf);

/** Callees for each of some systems that run together. */
export type CalleesBySystem = ReadonlyMap<SystemName, Callees>;

export async function withCallees(
  bench: Bench,
  names: readonly SystemName[],
  transport: "UDP" | "TCP",
  use: (systems: readonly System[], callees: CalleesBySystem) => Promise<Partial<Record<SystemName, Measured>>>,
): Promise<Partial<Record<SystemName, Measured>>> {
  return await bench.withSystems(names, {}, async (systems) => {
    const callees = new Map<SystemName, Callees>();
    try {
      for (const system of systems) {
        callees.set(system.name, await Callees.start(bench.programs, system, { transport, count: calleeCount }));
      }
      return await use(systems, callees);
    } finally {
      await Promise.all([...callees.values()].map(async (one) => await one.stop()));
    }
  });
}

export function calleesOf(callees: CalleesBySystem, system: System): Callees {
  const found = callees.get(system.name);
  if (found === undefined) throw new Error(`unreachable: ${system.name} has no callees`);
  return found;
}
