import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Bench, Work } from "../bench.ts";
import { LineProcess } from "../line-process.ts";
import { cpuSecondsOf, memoryOf } from "../process-usage.ts";
import type { Measured, Row } from "../report.ts";
import type { SoftphonesOutcome } from "../softphones.ts";
import type { System, SystemName } from "../system.ts";

const program = join(import.meta.dirname, "..", "softphones.ts");
const atATime = 50;
/** In a storm: as many as a process of softphones brings forward together. */
const stormAtATime = 200;

type Figures = {
  readonly connectsPerSecond: number;
  readonly connectUs: number;
  readonly registersPerSecond: number;
  readonly registerUs: number;
  /** Of all processes, and of each part of Tandem. */
  readonly idleKib: number;
  readonly cellsIdleKib: number;
  readonly gatewaysIdleKib: number;
  readonly failed: number;
};

/** Softphones over WebSocket: all connect, all register, then stay idle. The storm is as quick as system and softphones together can be. */
export const softphones: Work = {
  name: "softphones",
  summary: "10 000 softphones over WebSocket: connect, register, stay",
  run: async (bench) => {
    const count = bench.pick(10_000, 500);
    const figures = new Map<SystemName, Figures>();
    for (const name of ["tandem", "kamailio"] as const) {
      await bench.withSystems([name], { webSocket: true }, async ([system]) => {
        if (system !== undefined) figures.set(name, await figuresOf(bench, system, count));
      });
    }
    const row = rowsOf(figures);
    return [
      row(`${count} softphones connect`, "per s", ({ connectsPerSecond }) => connectsPerSecond),
      row("softphone connects", "us of CPU each", ({ connectUs }) => connectUs),
      row(`${count} softphones register`, "per s", ({ registersPerSecond }) => registersPerSecond),
      row("softphone registers", "us of CPU each", ({ registerUs }) => registerUs),
      row("softphone, connected and registered", "KiB each", ({ idleKib }) => idleKib, { of: "value", atMost: 10 }),
    ];
  },
};

/** The same at a gateway's WebSocket: what a softphone costs is the gateway's then, and a cell has only its registration. */
export const gatewaySoftphones: Work = {
  name: "softphones-gateway",
  summary: "10 000 softphones over WebSocket at the gateway: connect, register, stay",
  run: async (bench) => {
    const count = bench.pick(10_000, 500);
    const figures = new Map<SystemName, Figures>();
    await bench.withSystems(["tandem"], { gatewayWebSocket: true }, async ([system]) => {
      if (system !== undefined) figures.set("tandem", await figuresOf(bench, system, count));
    });
    const row = rowsOf(figures);
    return [
      row(`${count} softphones connect to a gateway`, "per s", ({ connectsPerSecond }) => connectsPerSecond),
      row("softphone connects to a gateway", "us of CPU each", ({ connectUs }) => connectUs),
      row(`${count} softphones register at a gateway`, "per s", ({ registersPerSecond }) => registersPerSecond),
      row("softphone registers at a gateway", "us of CPU each", ({ registerUs }) => registerUs),
      row("softphone at a gateway: the cells", "KiB each", ({ cellsIdleKib }) => cellsIdleKib, { of: "value", atMost: 10 }),
      row("softphone at a gateway: the gateway", "KiB each", ({ gatewaysIdleKib }) => gatewaysIdleKib),
    ];
  },
};

type RowMaker = (measure: string, unit: string, of: (one: Figures) => number, goal?: Row["goal"]) => Row;

function rowsOf(figures: ReadonlyMap<SystemName, Figures>): RowMaker {
  return (measure, unit, of, goal) => {
    const systems = Object.fromEntries(
      [...figures].map(([name, one]): [SystemName, Measured] => [name, { value: of(one), samples: [of(one)], failed: one.failed }]),
    );
    return goal === undefined ? { measure, unit, systems } : { measure, unit, systems, goal };
  };
}

async function figuresOf(bench: Bench, system: System, count: number): Promise<Figures> {
  const pids = system.processes();
  const { cells = pids, gateways = [] } = system.parts ?? {};
  const memory = { cells: memoryOf(cells), gateways: memoryOf(gateways) };
  const cpu = [cpuSecondsOf(pids)];
  const phones = await startSoftphones(bench, system, count, atATime, system.webSockets);
  try {
    const connected = await phones.next<SoftphonesOutcome>();
    cpu.push(cpuSecondsOf(pids));
    phones.tell("register");
    const registered = await phones.next<SoftphonesOutcome>();
    cpu.push(cpuSecondsOf(pids));
    await delay(bench.pick(20_000, 3_000));
    const [before = 0, between = 0, after = 0] = cpu;
    const kibMore = (part: readonly number[], earlier: number): number => (memoryOf(part) - earlier) / connected.done / 1024;
    const [cellsIdleKib, gatewaysIdleKib] = [kibMore(cells, memory.cells), kibMore(gateways, memory.gateways)];
    const figures = {
      connectsPerSecond: connected.done / connected.seconds,
      connectUs: ((between - before) * 1e6) / connected.done,
      registersPerSecond: registered.done / registered.seconds,
      registerUs: ((after - between) * 1e6) / registered.done,
      idleKib: cellsIdleKib + gatewaysIdleKib,
      cellsIdleKib,
      gatewaysIdleKib,
      failed: connected.failed + registered.failed,
    };
    bench.options.log(`  ${system.name}: ${connected.done} connected, ${registered.done} registered, ${figures.failed} failed`);
    return figures;
  } finally {
    await phones.stop();
  }
}

/** Softphones in a process of their own, told and heard as bench/softphones.ts says. */
export async function startSoftphones(
  bench: Bench,
  system: Pick<System, "domain">,
  count: number,
  together: number,
  urls: readonly string[],
): Promise<LineProcess> {
  return await LineProcess.start(bench.programs, program, [system.domain, String(count), String(together), ...urls]);
}

/**
 * All softphones are at one of two servers, which is killed: they come back to the other one, as many at a time as they can, and again a little
 * later when they are refused. Kamailio with DMQ, whose second instance has their registrations too, is the one to compare with.
 */
export const reconnectStorm: Work = {
  name: "reconnect-storm",
  summary: "10 000 softphones come back after their cell was killed",
  run: async (bench) => {
    const count = bench.pick(10_000, 500);
    const all = new Map<SystemName, SoftphonesOutcome>();
    for (const name of ["tandem", "kamailio+dmq"] as const) {
      await bench.withSystems([name], { webSocket: true }, async ([system]) => {
        if (system !== undefined) all.set(name, await stormOf(bench, system, count));
      });
    }
    const row = (measure: string, unit: string, of: (one: SoftphonesOutcome) => number): Row => ({
      measure,
      unit,
      systems: Object.fromEntries(
        [...all].map(([name, one]): [SystemName, Measured] => [
          name,
          { value: of(one), samples: [of(one)], failed: one.failed, retransmissions: one.attemptsFailed ?? 0 },
        ]),
      ),
    });
    return [
      row(`${count} softphones registered again`, "s", ({ seconds }) => seconds),
      row("half of them", "s", ({ halfSeconds }) => halfSeconds ?? Number.NaN),
    ];
  },
};

async function stormOf(bench: Bench, system: System, count: number): Promise<SoftphonesOutcome> {
  const [dying = "", heir = ""] = system.webSockets;
  const phones = await startSoftphones(bench, system, count, stormAtATime, [dying]);
  try {
    const connected = await phones.next<SoftphonesOutcome>();
    if (connected.failed > 0)
      throw new Error(`${connected.failed} softphones did not connect: a server needs two descriptors for each (ulimit -Hn)`);
    phones.tell("register");
    const registered = await phones.next<SoftphonesOutcome>();
    if (registered.failed > 0) throw new Error(`${registered.failed} softphones did not register`);
    // What registering left to do is over, and the second server has heard of everything.
    await delay(bench.pick(5_000, 1_000));
    phones.tell(`storm ${heir}`);
    system.kill(dying);
    const outcome = await phones.next<SoftphonesOutcome>();
    const { done, failed, seconds, halfSeconds = 0, attemptsFailed = 0 } = outcome;
    bench.options.log(
      `  ${system.name}: ${done} again after ${seconds.toFixed(1)} s, half after ${halfSeconds.toFixed(1)} s, ${failed} never, ` +
        `${attemptsFailed} attempts failed`,
    );
    return outcome;
  } finally {
    await phones.stop();
  }
}
