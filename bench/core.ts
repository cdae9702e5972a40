/**
 * What a call and a REGISTER cost the core alone, without processes, sockets and disks: `npx node bench/core.ts`. Two replicas of an exchange
 * in one thread; the messages are those of `bench/scenarios`.
 *
 *   --against DIR   another checkout: both in turn, and the ratio of what they cost by the phones beside each
 *   --rounds N      5 when not given, each a process of its own
 *   --only NAME     `call` or `register`
 */
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { loadCore } from "./core/core-modules.ts";
import { Calls, Registers, type Load } from "./core/loads.ts";
import { PairedExchanges, stepMs } from "./core/paired-exchanges.ts";
import { median } from "./statistics.ts";

/** Longer than any transaction lives: from then on as many end as begin. */
const warmUpMs = 34_000;
const measuredMs = 20_000;
const flushMs = 1_000;

const loads: Readonly<Record<string, (exchanges: PairedExchanges) => Load>> = {
  call: (exchanges) => new Calls(exchanges),
  register: (exchanges) => new Registers(exchanges),
};

/** Microseconds of CPU a call or REGISTER. */
type Cost = {
  readonly core: number;
  /** What the phones of this bench cost in the same process: the same code, whatever checkout is measured. */
  readonly phones: number;
};

/** One round: a core under load, from when as many transactions end as begin. */
async function measure(name: string, checkout: string): Promise<Cost> {
  const make = loads[name];
  if (make === undefined) throw new Error(`no such load: ${name}`);
  const exchanges = new PairedExchanges(await loadCore(checkout));
  const load = make(exchanges);
  run(load, exchanges, warmUpMs);
  exchanges.cpuMs = 0;
  const before = process.threadCpuUsage();
  run(load, exchanges, measuredMs);
  const { user, system } = process.threadCpuUsage(before);
  const count = (load.rate * measuredMs) / 1000;
  const core = (exchanges.cpuMs * 1000) / count;
  return { core, phones: (user + system) / count - core };
}

function run(load: Load, exchanges: PairedExchanges, ms: number): void {
  for (let at = 0; at < ms; at += stepMs) {
    load.step();
    if (at % flushMs === 0) exchanges.flush();
  }
}

/** The same in a process of its own. One thread collects garbage, so that what it costs is counted. */
async function measureApart(name: string, checkout: string): Promise<Cost> {
  const command = ["--single-threaded-gc", import.meta.filename, "--once", name, "--checkout", checkout];
  return JSON.parse((await promisify(execFile)(process.execPath, command)).stdout) as Cost;
}

/**
 * Both checkouts in turn. A machine that is slower for a while is slower for core and phones alike: what a core costs in terms of the phones beside it is
 * compared, and of all rounds the middle.
 */
async function compare(name: string, here: string, there: string | undefined, rounds: number): Promise<string> {
  const own: Cost[] = [];
  const other: Cost[] = [];
  for (let round = 0; round < rounds; round += 1) {
    own.push(await measureApart(name, here));
    if (there !== undefined) other.push(await measureApart(name, there));
  }
  const costOf = (costs: readonly Cost[]): string => Math.min(...costs.map(({ core }) => core)).toFixed(1);
  if (there === undefined) return `${name}: ${costOf(own)} us`;
  const ratioOf = (costs: readonly Cost[]): number => median(costs.map(({ core, phones }) => core / phones));
  const ratio = (ratioOf(own) / ratioOf(other)).toFixed(3);
  return `${name}: ${costOf(own)} us, ${costOf(other)} there at the lowest; ratio ${ratio}, by the phones beside each`;
}

const { values } = parseArgs({
  options: {
    against: { type: "string" },
    rounds: { type: "string", default: "5" },
    only: { type: "string" },
    once: { type: "string" },
    checkout: { type: "string", default: resolve(import.meta.dirname, "..") },
  },
});

if (values.once !== undefined) {
  process.stdout.write(`${JSON.stringify(await measure(values.once, values.checkout))}\n`);
} else {
  const there = values.against === undefined ? undefined : resolve(values.against);
  for (const name of Object.keys(loads).filter((each) => values.only === undefined || each === values.only)) {
    process.stdout.write(`${await compare(name, values.checkout, there, Number(values.rounds))}\n`);
  }
}
