import { join } from "node:path";
import type { Bench, LoadResult, Work } from "../bench.ts";
import type { CallPhonesOrder } from "../call-phones-process.ts";
import { LineProcess } from "../line-process.ts";
import type { CallOrder, CallOutcome } from "../phones/call-phones.ts";
import type { Measured } from "../report.ts";
import type { System, SystemName } from "../system.ts";

const program = join(import.meta.dirname, "..", "call-phones-process.ts");
const phones = 100;
const talkMs = 1_000;
const patienceMs = 30_000;
const goal = { of: "ratio", atMost: 1.3 } as const;

/** Whole calls between phones with a connection each, all of the bench's own: callers and callees are one process, which is not counted. */
function workOf(transport: "tls" | "ws", rate: number, door: "cells" | "gateway" = "cells"): Work {
  const isAtGateway = transport === "ws" && door === "gateway";
  const over = transport === "tls" ? "TLS" : `WebSocket${isAtGateway ? " at a gateway" : ""}`;
  return {
    name: `calls-${transport}${isAtGateway ? "-gateway" : ""}-${rate}`,
    summary: `whole calls over ${over} at ${rate}/s, each phone with a connection of its own`,
    run: async (bench) => {
      const names: SystemName[] = ["tandem", "kamailio"];
      const order = { callsPerSecond: rate, seconds: bench.roundSeconds(10, 3), talkMs, patienceMs };
      const options = transport === "tls" ? { tls: true } : { webSocket: true, gatewayWebSocket: isAtGateway };
      const systems = await bench.withSystems(names, options, async (started) => await rounds(bench, started, transport, order));
      const row = { measure: `call over ${over}, ${rate}/s`, unit: "us of CPU each", systems };
      return [rate === 200 && (transport === "tls" || isAtGateway) ? { ...row, goal } : row];
    },
  };
}

/** TLS and WebSocket calls at rates that one process of phones makes easily. */
export const phoneCallWorks: readonly Work[] = [
  workOf("tls", 200),
  workOf("tls", 500),
  workOf("ws", 200),
  workOf("ws", 500),
  workOf("ws", 200, "gateway"),
  workOf("ws", 500, "gateway"),
];

async function rounds(
  bench: Bench,
  systems: readonly System[],
  transport: "tls" | "ws",
  order: CallOrder,
): Promise<Partial<Record<SystemName, Measured>>> {
  const all = new Map<SystemName, Phones>();
  try {
    for (const system of systems) all.set(system.name, await startPhones(bench, system, transport));
    return await bench.cpuRounds(systems, async (system) => {
      const running = all.get(system.name);
      if (running === undefined) throw new Error(`unreachable: ${system.name} has no phones`);
      return await running.run(order);
    });
  } finally {
    await Promise.all([...all.values()].map(async (one) => await one.stop()));
  }
}

/** Callers and callees of a system, in a process of their own. */
export type Phones = { run(order: CallOrder): Promise<LoadResult>; stop(): Promise<void> };

export async function startPhones(bench: Bench, system: System, transport: "tls" | "ws"): Promise<Phones> {
  const { tls } = system;
  if (transport === "tls" && tls === undefined) throw new Error(`${system.name} has no TLS`);
  const order: CallPhonesOrder = {
    transport,
    domain: system.domain,
    targets: transport === "tls" && tls !== undefined ? [tls] : system.webSockets.map(endpointOf),
    ...(tls === undefined ? {} : { ca: tls.ca }),
    callers: phones,
    callees: Array.from({ length: phones }, (_, index) => `callee${index}`),
  };
  const running = await LineProcess.start(bench.programs, program, [JSON.stringify(order)]);
  await running.next<{ readonly ready: true }>();
  return {
    run: async (each) => {
      running.tell(JSON.stringify(each));
      return resultOf(bench, await running.next<CallOutcome>(), each);
    },
    stop: async () => await running.stop(),
  };
}

export function endpointOf(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

function resultOf(bench: Bench, outcome: CallOutcome, order: CallOrder): LoadResult {
  if (outcome.cause !== undefined) bench.options.log(`  ! ${outcome.failed} calls failed, the first: ${outcome.cause}`);
  // Nothing is sent again over connections.
  return { units: outcome.calls, failed: outcome.failed, retransmissions: 0, driverLoad: outcome.cpuSeconds / order.seconds };
}
