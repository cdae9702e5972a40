import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { LoadThread } from "../../cli/drill/load-thread.ts";
import { isTable } from "../../cli/json.ts";
import type { Target } from "../../kit/phone/link.ts";
import { type Tandem, startTandem } from "../../kit/world/tandem.ts";
import { comesTrue } from "../../kit/world/until.ts";
import { memoryOf } from "../process-usage.ts";
import type { Programs } from "../programs.ts";
import { rowsBelow } from "./rows.ts";
import { type Sample, descriptors, disk, figureName, memory, octetsBelow, openFilesOf, rows } from "./samples.ts";
import { SoftphoneCrowd } from "./softphone-crowd.ts";
import { type Loss, type Outcome, courseOf, descriptorsMore, descriptorsMoreMax, killsOf } from "./verdict.ts";

export type SoakOptions = {
  readonly minutes: number;
  readonly callsPerSecond: number;
  /** Each REGISTERs every minute: 1200 are 20 REGISTERs a second. */
  readonly phones: number;
  readonly softphones: number;
  readonly log: (line: string) => void;
};

const rehearsalMs = 10_000;
const registerMsMax = 120_000;
/** What ended calls and connections leave behind is gone by then: transactions last for 32 s. */
const restMsMax = 90_000;
const settleMsMax = 30_000;
/** As many samples as a plot has dots, in a run of any length. */
const samplesWanted = 240;
const sampleMsMin = 2_000;
/** A softphone of four is at the gateway. */
const shareAtGateway = 0.25;

/** Starts a system, gives it its load for so long, kills cells in between, and tells what was seen. */
export async function soak(programs: Programs, options: SoakOptions): Promise<Outcome> {
  const { log, minutes } = options;
  const state = programs.directory();
  const system = await startTandem({
    domain: "bench.test",
    auth: "open",
    webSocket: true,
    state,
    spawn: (command, args) => programs.start(command, args, { stdio: ["ignore", "pipe", "pipe"] }),
  });
  const load = new LoadThread(loadOf(system, options));
  const crowds = crowdsOf(system, options);
  try {
    log(`${options.phones} phones register`);
    await load.register(registerMsMax);
    log("rehearses, and comes to rest");
    await rehearse(load, crowds);
    const before = await restOf(system, options, () => true);
    log(`runs for ${minutes} minutes`);
    const startedAt = performance.now();
    const course = courseOf(minutes);
    await load.startCalls();
    for (const crowd of crowds) crowd.start();
    const samples = await run(system, options, startedAt);
    await load.stopCalls();
    for (const crowd of crowds) crowd.stop();
    await load.drain();
    await load.settle(settleMsMax);
    log("comes to rest");
    const after = await restOf(system, options, (figures) =>
      descriptorsMore(before.figures, figures).every(({ more }) => more <= descriptorsMoreMax),
    );
    return { course, samples, atRest: { before, after }, losses: await lossesOf(load, crowds, log) };
  } finally {
    for (const crowd of crowds) crowd.stop();
    await load.stop();
    await system.stop();
    programs.removeDirectory(state);
  }
}

function loadOf(system: Tandem, { callsPerSecond, phones }: SoakOptions): ConstructorParameters<typeof LoadThread>[0] {
  const { host, port } = listenerOf(system, "UDP");
  return {
    transport: "udp",
    domain: system.domain,
    host: "127.0.0.1",
    targets: [{ name: "gateway", host, port }],
    ca: undefined,
    amounts: { rate: callsPerSecond, established: 0, ringing: 0, registered: phones },
    everyoneHasTwo: false,
  };
}

function listenerOf(system: Tandem, transport: string): { readonly host: string; readonly port: number } {
  const listener = system.run.gateways[0]?.listeners.find((each) => each.transport === transport);
  if (listener === undefined) throw new Error(`the gateway has no ${transport}`);
  return listener;
}

/** Softphones at the cells, and some at the gateway. In a short run they stay for a shorter time. */
function crowdsOf(system: Tandem, { softphones, minutes }: SoakOptions): readonly SoftphoneCrowd[] {
  const { domain } = system;
  const stay = minutes < 10 ? { presentMs: 10_000, awayMs: 2_000 } : { presentMs: 40_000, awayMs: 10_000 };
  const atGateway = Math.round(softphones * shareAtGateway);
  const cells: Target[] = system.run.cells.map(({ id, url }) => ({
    name: id,
    host: new URL(url).hostname,
    port: Number(new URL(url).port),
  }));
  const { host, port } = listenerOf(system, "WS");
  return [
    new SoftphoneCrowd({ domain, targets: cells, prefix: "soft", count: softphones - atGateway, stay }),
    new SoftphoneCrowd({ domain, targets: [{ name: "gateway", host, port }], prefix: "soft-gateway", count: atGateway, stay }),
  ];
}

/** Everything has been once what it will be: code is compiled, files are open. */
async function rehearse(load: LoadThread, crowds: readonly SoftphoneCrowd[]): Promise<void> {
  for (const crowd of crowds) crowd.start();
  await load.startCalls();
  await delay(rehearsalMs);
  await load.stopCalls();
  for (const crowd of crowds) crowd.stop();
  await load.drain();
}

/** What is seen when no call and no softphone is left, and what else is expected; what is seen after a while when it does not come to that. */
async function restOf(system: Tandem, { phones }: SoakOptions, isExpected: (figures: Sample["figures"]) => boolean): Promise<Sample> {
  let figures: Sample["figures"] = {};
  const isAtRest = async (): Promise<boolean> => {
    figures = await figuresOf(system);
    const of = (name: string): number | undefined => figures[figureName("status", name)];
    return of("dialogs") === 0 && of("registrations") === phones && isExpected(figures);
  };
  await comesTrue(isAtRest, restMsMax, 1_000);
  return { seconds: 0, figures };
}

async function run(system: Tandem, { minutes, log }: SoakOptions, startedAt: number): Promise<readonly Sample[]> {
  const course = courseOf(minutes);
  const kills = [...killsOf(course)];
  const samples: Sample[] = [];
  const everyMs = Math.max(sampleMsMin, (course.seconds * 1000) / samplesWanted);
  for (let count = 1; ; count += 1) {
    const dueMs = Math.min(count * everyMs, course.seconds * 1000);
    await delay(Math.max(0, startedAt + dueMs - performance.now()));
    samples.push({ seconds: dueMs / 1000, figures: await figuresOf(system) });
    if (dueMs >= course.seconds * 1000) return samples;
    const [kill] = kills;
    if (kill === undefined || dueMs < kill.at * 1000) continue;
    kills.shift();
    const cell = system.run.cells[kill.cell];
    if (cell === undefined) continue;
    log(`  minute ${(dueMs / 60_000).toFixed(1)}: kills cell ${cell.id}`);
    process.kill(cell.pid, "SIGKILL");
  }
}

/** Of every process, of the disk, and what the system says of itself. What cannot be told now, because a cell is away, is left out. */
async function figuresOf(system: Tandem): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  const { cells, gateways } = system.run;
  const parts = [
    ...cells.map(({ id, pid }) => ({ part: `cell ${id}`, pid })),
    ...gateways.map(({ pid }) => ({ part: "gateway", pid })),
    { part: "supervisor", pid: system.pid },
  ];
  for (const { part, pid } of parts) {
    const [octets, open] = [memoryOf([pid]), openFilesOf(pid)];
    if (octets > 0) figures[figureName(part, memory)] = octets / 1024 / 1024;
    if (open !== undefined) figures[figureName(part, descriptors)] = open;
  }
  for (const { id } of cells) {
    const directory = join(system.state, "cells", id);
    figures[figureName(`cell ${id}`, disk)] = octetsBelow(directory) / 1024;
    const count = rowsBelow(directory);
    if (count !== undefined) figures[figureName(`cell ${id}`, rows)] = count;
  }
  for (const [name, value] of Object.entries(await statusOf(system))) {
    if (typeof value === "number" && name !== "loadBalance") figures[figureName("status", name)] = value;
  }
  return figures;
}

async function statusOf(system: Tandem): Promise<Readonly<Record<string, unknown>>> {
  const { code, out } = await system.cli("status", "--json");
  const status: unknown = code === 0 ? JSON.parse(out) : {};
  return isTable(status) ? status : {};
}

async function lossesOf(load: LoadThread, crowds: readonly SoftphoneCrowd[], log: SoakOptions["log"]): Promise<readonly Loss[]> {
  const { newCalls, phones, losses, anomalies } = await load.report();
  const came = crowds.reduce((sum, crowd) => sum + crowd.came, 0);
  const failures = crowds.flatMap((crowd) => crowd.failures);
  for (const each of [...losses, ...failures].slice(0, 20)) log(`  ! ${each}`);
  log(`calls slower than a second: ${newCalls.slow}, the slowest ${newCalls.slowestMs} ms; ${JSON.stringify(anomalies)}`);
  return [
    { what: "calls lost", count: newCalls.failed, of: newCalls.made },
    { what: "phones not registered in the end", count: phones.lost, of: phones.registered + phones.lost },
    { what: "softphones that could not register", count: failures.length, of: came },
  ];
}
