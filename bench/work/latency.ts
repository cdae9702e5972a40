import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Bench, LoadResult, Work } from "../bench.ts";
import { Clocked } from "../clocked.ts";
import { LineProcess } from "../line-process.ts";
import { Callees, callLoad, registerLoad } from "../load.ts";
import { type ProbeKind, type ProbeOrder, type ProbeOutcome, probeKinds } from "../phones/probes.ts";
import type { ProbesOrder, ProbesReady } from "../probe-process.ts";
import type { Goal, Measured, Row } from "../report.ts";
import { median, percentile } from "../statistics.ts";
import type { System, SystemName, SystemOptions } from "../system.ts";
import { DropWatch } from "../udp-drops.ts";
import { endpointOf, startPhones } from "./phone-calls.ts";

const program = join(import.meta.dirname, "..", "probe-process.ts");
const talkMs = 1_000;
const patienceMs = 30_000;
const calleeCount = 100;
const registeringPhones = 3_000;
/** The load has begun when the probes come, and goes on when the last one is over. */
const headStartMs = 1_000;
const tailMs = 1_000;

type Transport = "udp" | "tcp" | "tls" | "ws";
type Plan = {
  readonly transport: Transport;
  /** Where softphones are. */
  readonly isAtGateway: boolean;
  /** What the load is made of. */
  readonly units: "calls" | "registers";
  readonly rate: number;
};

/** Something that gives one system its load, for as long as it is wanted. */
type Load = { run(seconds: number): Promise<LoadResult>; stop(): Promise<void> };
/** Probes that speak to one system. */
type Prober = { readonly process: LineProcess; readonly ports: readonly number[] };

const bounds: readonly { readonly upTo: number; readonly calls: Goal; readonly registers: Goal }[] = [
  { upTo: 500, calls: { of: "value", atMost: 3, p99AtMost: 10 }, registers: { of: "value", atMost: 8, p99AtMost: 20 } },
  { upTo: 1_000, calls: { of: "value", atMost: 10, p99AtMost: 40 }, registers: { of: "value", atMost: 8, p99AtMost: 20 } },
  { upTo: 1_500, calls: { of: "value", atMost: 10, p99AtMost: 40 }, registers: { of: "value", atMost: 10, p99AtMost: 40 } },
];

/**
 * What the way through a system adds, for each kind of message: probes among a load of one rate. The probes are caller and callee in one process,
 * and time by one clock. The median of what two of its sockets take without a system between them, at the same time, is subtracted.
 */
function workOf(plan: Plan, isExtra: boolean): Work {
  const { transport, isAtGateway, units, rate } = plan;
  const over = `${transport.toUpperCase()}${isAtGateway ? " at a gateway" : ""}`;
  const unit = units === "calls" ? "calls" : "REGISTERs";
  return {
    name: `latency-${units === "calls" ? "" : "register-"}${transport}${isAtGateway ? "-gateway" : ""}-${rate}`,
    summary: `what the way through adds, over ${over} at ${rate} ${unit}/s`,
    isExtra,
    run: async (bench) => {
      const options: SystemOptions =
        transport === "tls" ? { tls: true } : transport === "ws" ? { webSocket: true, gatewayWebSocket: isAtGateway } : {};
      return await bench.withSystems(["tandem", "kamailio"], options, async (systems) => await rowsOf(bench, plan, over, systems));
    },
  };
}

export const latencyWorks: readonly Work[] = [
  ...[50, 200, 500, 1_000, 1_500].map((rate) => workOf({ transport: "udp", isAtGateway: false, units: "calls", rate }, false)),
  ...[50, 200, 500, 1_000].map((rate) => workOf({ transport: "udp", isAtGateway: false, units: "registers", rate }, rate === 200)),
  ...(["tcp", "tls", "ws"] as const).flatMap((transport) =>
    [50, 200, 500, 1_000, 1_500].map((rate) =>
      workOf({ transport, isAtGateway: false, units: "calls", rate }, rate !== (transport === "tcp" ? 500 : 200)),
    ),
  ),
  ...[50, 200, 500, 1_000, 1_500].map((rate) => workOf({ transport: "ws", isAtGateway: true, units: "calls", rate }, rate !== 200)),
];

async function rowsOf(bench: Bench, plan: Plan, over: string, systems: readonly System[]): Promise<readonly Row[]> {
  const loads = new Map<SystemName, Load>();
  const probers = new Map<SystemName, Prober>();
  const outcomes = new Map<SystemName, ProbeOutcome[]>(systems.map(({ name }) => [name, []]));
  const clocked = new Clocked();
  try {
    for (const system of systems) {
      loads.set(system.name, await startLoad(bench, system, plan));
      probers.set(system.name, await startProber(bench, system, plan));
    }
    const cpu = await bench.cpuRounds(systems, async (system, round) => {
      const [load, prober] = [loads.get(system.name), probers.get(system.name)];
      if (load === undefined || prober === undefined) throw new Error(`unreachable: ${system.name} has no load`);
      const { result, outcome } = await roundOf(bench, load, prober, plan);
      tell(bench, system.name, outcome);
      if (round > 0) {
        outcomes.get(system.name)?.push(outcome);
        clocked.add(system.name, result);
      }
      return result;
    });
    const [each, what] = plan.units === "calls" ? ["calls", "call"] : ["REGISTERs", "REGISTER"];
    const at = `${over}, ${plan.rate} ${each}/s`;
    return [
      ...probeKinds.map((kind) => latencyRow(`${kind}, added, ${at}`, outcomes, (outcome) => addedOf(outcome, kind), goalOf(plan, kind))),
      latencyRow(`what measuring takes, ${at}`, outcomes, ({ floor }) => [floor, []]),
      ...clocked.rowsOf(at),
      { measure: `${at}, with probes: a ${what}`, unit: "us of CPU each", systems: cpu },
    ];
  } finally {
    await Promise.all([...loads.values()].map(async (load) => await load.stop()));
    await Promise.all([...probers.values()].map(async (prober) => await prober.process.stop()));
  }
}

function goalOf({ rate }: Plan, kind: ProbeKind): Goal | undefined {
  const goals = bounds.find(({ upTo }) => rate <= upTo);
  if (kind === "MESSAGE to 200") return undefined;
  return kind === "REGISTER to 200" ? goals?.registers : goals?.calls;
}

async function startLoad(bench: Bench, system: System, { transport, units, rate }: Plan): Promise<Load> {
  const { programs } = bench;
  if (units === "registers") {
    const users = Array.from({ length: registeringPhones }, (_, index) => `phone${index}`);
    return {
      run: async (seconds) =>
        await registerLoad(programs, system, { scenario: "register-refresh", callsPerSecond: rate, calls: rate * seconds, users }),
      stop: async () => undefined,
    };
  }
  const callsPerSecond = rate - probesPerSecond(rate);
  if (transport === "udp" || transport === "tcp") {
    const over = transport === "udp" ? "UDP" : "TCP";
    const callees = await Callees.start(programs, system, { transport: over, count: calleeCount });
    return {
      run: async (seconds) => await callLoad(programs, system, callees, { transport: over, callsPerSecond, seconds, talkMs }),
      stop: async () => await callees.stop(),
    };
  }
  const phones = await startPhones(bench, system, transport);
  return {
    run: async (seconds) => await phones.run({ callsPerSecond, seconds, talkMs, patienceMs }),
    stop: async () => await phones.stop(),
  };
}

async function startProber(bench: Bench, system: System, { transport }: Plan): Promise<Prober> {
  const { tls } = system;
  const targets =
    transport === "ws"
      ? system.webSockets.map(endpointOf)
      : [transport === "tls" && tls !== undefined ? { host: tls.host, port: tls.port } : system.sip];
  const order: ProbesOrder = { transport, domain: system.domain, targets, ...(tls === undefined ? {} : { ca: tls.ca }) };
  const process = await LineProcess.start(bench.programs, program, [JSON.stringify(order)]);
  const { ports } = await process.next<ProbesReady>();
  return { process, ports };
}

/** Calls of the rate that are probes. */
function probesPerSecond(rate: number): number {
  return Math.min(100, rate / 2);
}

async function roundOf(
  bench: Bench,
  load: Load,
  prober: Prober,
  { units, rate }: Plan,
): Promise<{ readonly result: LoadResult; readonly outcome: ProbeOutcome }> {
  const seconds = bench.roundSeconds(10, 4);
  const others = Math.min(50, rate / 5);
  const order: ProbeOrder = {
    callsPerSecond: units === "calls" ? probesPerSecond(rate) : others,
    registersPerSecond: units === "calls" ? others : 2 * others,
    messagesPerSecond: others,
    seconds: seconds - (headStartMs + tailMs) / 1000,
  };
  const drops = new DropWatch(prober.ports);
  const running = load.run(seconds);
  await delay(headStartMs);
  prober.process.tell(JSON.stringify(order));
  const [result, outcome] = await Promise.all([running, prober.process.next<ProbeOutcome>()]);
  return {
    result: {
      ...result,
      units: result.units + (units === "calls" ? outcome.calls : outcome.samples["REGISTER to 200"].length),
      failed: result.failed + outcome.failed,
      retransmissions: result.retransmissions + outcome.retransmissions,
      dropped: (result.dropped ?? 0) + drops.end(),
    },
    outcome,
  };
}

/** Samples, and those to subtract. */
type Sampled = readonly [samples: readonly number[], floor: readonly number[]];

function addedOf({ samples, floor }: ProbeOutcome, kind: ProbeKind): Sampled {
  return [samples[kind], floor];
}

function latencyRow(
  measure: string,
  outcomes: ReadonlyMap<SystemName, readonly ProbeOutcome[]>,
  of: (outcome: ProbeOutcome) => Sampled,
  goal?: Goal,
): Row {
  const systems = Object.fromEntries([...outcomes].map(([name, rounds]): [SystemName, Measured] => [name, measuredOf(rounds.map(of))]));
  const row: Row = { measure, unit: "ms, p50 / p99 / p99.9", systems };
  return goal === undefined ? row : { ...row, goal };
}

/** Percentiles of all rounds together; the samples are the medians of each. */
function measuredOf(rounds: readonly Sampled[]): Measured {
  const all = rounds.flatMap(([samples]) => samples);
  const floor = rounds.flatMap(([, subtracted]) => subtracted);
  // Not percentile by percentile: that would take the rare lateness of this machine from the system's.
  const at = (percent: number): number => percentile(all, percent) - orNothing(median(floor));
  return {
    value: at(50),
    p99: at(99),
    p999: at(99.9),
    samples: rounds.map(([samples, subtracted]) => median(samples) - orNothing(median(subtracted))),
  };
}

/** The median of no samples subtracts nothing. */
function orNothing(ms: number): number {
  return Number.isNaN(ms) ? 0 : ms;
}

function textOf(samples: readonly number[]): string {
  return [50, 99].map((each) => percentile(samples, each).toFixed(2)).join(" / ");
}

function tell(bench: Bench, name: SystemName, outcome: ProbeOutcome): void {
  const kinds = probeKinds.map((kind) => `${kind} ${textOf(outcome.samples[kind])}`).join(", ");
  bench.options.log(`  ${name}, p50 / p99 ms: ${kinds}; measuring itself ${textOf(outcome.floor)}`);
  if (outcome.cause !== undefined) bench.options.log(`  ! ${outcome.failed} probes failed, the first: ${outcome.cause}`);
}
