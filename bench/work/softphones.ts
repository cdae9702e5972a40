import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { Bench, Work } from "../bench.ts";
import { cpuSecondsOf, memoryOf } from "../process-usage.ts";
import type { Measured, Row } from "../report.ts";
import type { System, SystemName } from "../system.ts";

const program = join(import.meta.dirname, "..", "softphones.ts");
const atATime = 50;

type Figures = {
  readonly connectsPerSecond: number;
  readonly connectUs: number;
  readonly registersPerSecond: number;
  readonly registerUs: number;
  readonly idleKib: number;
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
    const row = (measure: string, unit: string, of: (one: Figures) => number, goal?: Row["goal"]): Row => {
      const systems = Object.fromEntries(
        [...figures].map(([name, one]): [SystemName, Measured] => [name, { value: of(one), samples: [of(one)], failed: one.failed }]),
      );
      return goal === undefined ? { measure, unit, systems } : { measure, unit, systems, goal };
    };
    return [
      row(`${count} softphones connect`, "per s", ({ connectsPerSecond }) => connectsPerSecond),
      row("softphone connects", "us of CPU each", ({ connectUs }) => connectUs),
      row(`${count} softphones register`, "per s", ({ registersPerSecond }) => registersPerSecond),
      row("softphone registers", "us of CPU each", ({ registerUs }) => registerUs),
      row("softphone, connected and registered", "KiB each", ({ idleKib }) => idleKib, { of: "value", atMost: 10 }),
    ];
  },
};

async function figuresOf(bench: Bench, system: System, count: number): Promise<Figures> {
  const pids = system.processes();
  const memory = memoryOf(pids);
  const cpu = [cpuSecondsOf(pids)];
  const args = [program, system.domain, String(count), String(atATime), ...system.webSockets];
  const child = await bench.programs.start(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  const outcomes = outcomesOf(child);
  try {
    const connected = await outcomes();
    cpu.push(cpuSecondsOf(pids));
    child.stdin?.write("register\n");
    const registered = await outcomes();
    cpu.push(cpuSecondsOf(pids));
    await delay(bench.pick(20_000, 3_000));
    const [before = 0, between = 0, after = 0] = cpu;
    const figures = {
      connectsPerSecond: connected.done / connected.seconds,
      connectUs: ((between - before) * 1e6) / connected.done,
      registersPerSecond: registered.done / registered.seconds,
      registerUs: ((after - between) * 1e6) / registered.done,
      idleKib: (memoryOf(pids) - memory) / connected.done / 1024,
      failed: connected.failed + registered.failed,
    };
    bench.options.log(`  ${system.name}: ${connected.done} connected, ${registered.done} registered, ${figures.failed} failed`);
    return figures;
  } finally {
    await bench.programs.stop(child);
  }
}

type Outcome = { readonly done: number; readonly failed: number; readonly seconds: number };

/** Reads one line of the softphones' process at each call. */
function outcomesOf(child: ChildProcess): () => Promise<Outcome> {
  if (child.stdout === null) throw new Error("unreachable: it is a pipe");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, "exit").then(([code]) => Promise.reject(new Error(`the softphones ended with ${code}`)));
  // It ends in any case: only while somebody waits for a line is that an error.
  ended.catch(() => undefined);
  return async () => {
    const line: IteratorResult<string> = await Promise.race([lines.next(), ended]);
    if (line.done === true) throw new Error("the softphones ended");
    return JSON.parse(line.value) as Outcome;
  };
}
