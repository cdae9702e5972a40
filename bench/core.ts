/**
 * What a call and a REGISTER cost the core alone, without processes, sockets and disks: `node bench/core.ts`. Two replicas of an exchange
 * in one thread; the messages are those of `bench/scenarios`.
 *
 *   --against DIR   another checkout: both in one process, second by second in turn, and the middle of the ratios of their seconds
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
const warmUpSeconds = 34;
const measuredSeconds = 20;

const loads: Readonly<Record<string, (exchanges: PairedExchanges) => Load>> = {
  call: (exchanges) => new Calls(exchanges),
  register: (exchanges) => new Registers(exchanges),
};

/** The core of one checkout under load. */
class Subject {
  readonly #exchanges: PairedExchanges;
  readonly #load: Load;

  constructor(exchanges: PairedExchanges, load: Load) {
    this.#exchanges = exchanges;
    this.#load = load;
  }

  /** A second of its time: microseconds of CPU a call or REGISTER. */
  second(): number {
    this.#exchanges.cpuMs = 0;
    for (let at = 0; at < 1000; at += stepMs) {
      this.#load.step();
      if (at === 0) this.#exchanges.flush();
    }
    return (this.#exchanges.cpuMs * 1000) / this.#load.rate;
  }
}

/**
 * One round: for each checkout what each measured second has cost. All stand in one process, second by second in turn: whatever the machine does
 * meanwhile, it does to all of them.
 */
async function measure(name: string, checkouts: readonly string[]): Promise<number[][]> {
  const make = loads[name];
  if (make === undefined) throw new Error(`no such load: ${name}`);
  const subjects: Subject[] = [];
  for (const checkout of checkouts) {
    const exchanges = new PairedExchanges(await loadCore(checkout));
    subjects.push(new Subject(exchanges, make(exchanges)));
  }
  const seconds = checkouts.map((): number[] => []);
  for (let second = 0; second < warmUpSeconds + measuredSeconds; second += 1) {
    const inTurn = Array.from(subjects.entries());
    for (const [index, subject] of second % 2 === 0 ? inTurn : inTurn.toReversed()) {
      const cost = subject.second();
      if (second >= warmUpSeconds) seconds[index]?.push(cost);
    }
  }
  return seconds;
}

/** The same in a process of its own. One thread collects garbage, so that what it costs is counted. */
async function measureApart(name: string, checkouts: readonly string[]): Promise<number[][]> {
  const named = checkouts.flatMap((checkout) => ["--checkout", checkout]);
  const command = ["--single-threaded-gc", import.meta.filename, "--once", name, ...named];
  return JSON.parse((await promisify(execFile)(process.execPath, command)).stdout) as number[][];
}

/** Of all rounds: the cost here, the cost there, and the middle of the ratios of seconds that followed each other. */
async function compare(name: string, here: string, there: string | undefined, rounds: number): Promise<string> {
  const own: number[] = [];
  const other: number[] = [];
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    // Who comes first differs: the engine has seen one core before it meets the other.
    const order = there === undefined ? [here] : round % 2 === 0 ? [here, there] : [there, here];
    const seconds = await measureApart(name, order);
    const [ours = [], theirs = []] = order[0] === here ? seconds : seconds.toReversed();
    own.push(median(ours));
    if (there === undefined) continue;
    other.push(median(theirs));
    ratios.push(median(ours.map((cost, index) => cost / (theirs[index] ?? Number.NaN))));
  }
  const cost = `${name}: ${median(own).toFixed(1)} us`;
  if (there === undefined) return cost;
  const range = `${Math.min(...ratios).toFixed(3)} to ${Math.max(...ratios).toFixed(3)}`;
  return `${cost}, ${median(other).toFixed(1)} there, ratio ${median(ratios).toFixed(3)} (${range})`;
}

const { values } = parseArgs({
  options: {
    against: { type: "string" },
    rounds: { type: "string", default: "5" },
    only: { type: "string" },
    once: { type: "string" },
    checkout: { type: "string", multiple: true, default: [resolve(import.meta.dirname, "..")] },
  },
});

if (values.once !== undefined) {
  process.stdout.write(`${JSON.stringify(await measure(values.once, values.checkout))}\n`);
} else {
  const [here = "."] = values.checkout;
  const there = values.against === undefined ? undefined : resolve(values.against);
  for (const name of Object.keys(loads).filter((each) => values.only === undefined || each === values.only)) {
    process.stdout.write(`${await compare(name, here, there, Number(values.rounds))}\n`);
  }
}
