/**
 * What a call and a REGISTER cost the core alone, without processes, sockets and disks: `node bench/core.ts`. Two replicas of an exchange
 * in one thread; the messages are those of `bench/scenarios`.
 *
 *   --against DIR   another checkout: both in turn, each round a process of its own, and the ratio of their lowest
 *   --rounds N      5 when not given
 *   --only NAME     `call` or `register`
 */
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { loadCore } from "./core/core-modules.ts";
import { Calls, Registers, type Load } from "./core/loads.ts";
import { PairedExchanges, stepMs } from "./core/paired-exchanges.ts";

/** Longer than any transaction lives: from then on as many end as begin. */
const warmUpMs = 34_000;
const measuredMs = 10_000;
const flushMs = 1_000;

const loads: Readonly<Record<string, (exchanges: PairedExchanges) => Load>> = {
  call: (exchanges) => new Calls(exchanges),
  register: (exchanges) => new Registers(exchanges),
};

function run(load: Load, exchanges: PairedExchanges, ms: number): void {
  for (let at = 0; at < ms; at += stepMs) {
    load.step();
    if (at % flushMs === 0) exchanges.flush();
  }
}

/** One round: microseconds of CPU a call or REGISTER. */
async function measure(name: string, checkout: string): Promise<number> {
  const make = loads[name];
  if (make === undefined) throw new Error(`no such load: ${name}`);
  const exchanges = new PairedExchanges(await loadCore(checkout));
  const load = make(exchanges);
  run(load, exchanges, warmUpMs);
  exchanges.cpuMs = 0;
  run(load, exchanges, measuredMs);
  return (exchanges.cpuMs * 1000) / ((load.rate * measuredMs) / 1000);
}

/** The same in a process of its own. One thread collects garbage, so that what it costs is counted. */
async function measureApart(name: string, checkout: string): Promise<number> {
  const command = ["--single-threaded-gc", import.meta.filename, "--once", name, "--checkout", checkout];
  return Number((await promisify(execFile)(process.execPath, command)).stdout);
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
  process.stdout.write(`${await measure(values.once, values.checkout)}\n`);
} else {
  const checkouts = [values.checkout, ...(values.against === undefined ? [] : [resolve(values.against)])];
  for (const name of Object.keys(loads).filter((each) => values.only === undefined || each === values.only)) {
    const rounds = checkouts.map((): number[] => []);
    for (let round = 0; round < Number(values.rounds); round += 1) {
      for (const [index, checkout] of checkouts.entries()) rounds[index]?.push(await measureApart(name, checkout));
    }
    // The lowest: whatever else runs on the machine only adds.
    const [own = 0, other] = rounds.map((each) => Math.min(...each));
    const compared = other === undefined ? "" : `, ${other.toFixed(1)} there, ratio ${(own / other).toFixed(3)}`;
    process.stdout.write(`${name}: ${own.toFixed(1)} us${compared}\n`);
  }
}
