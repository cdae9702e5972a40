import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { statOf } from "./process-usage.ts";
import { type Programs, hasEnded } from "./programs.ts";
import type { Endpoint } from "./system.ts";

const scenarios = join(import.meta.dirname, "scenarios");

/** So many calls at a time that a slow system meets the whole rate all the same. */
const callsAtATimeMax = 60_000;
/** How often SIPp's own CPU time is looked at, and so how much of it may be missed at its end. */
const watchMs = 100;

export type SippRun = {
  /** A file in bench/scenarios, without `.xml`. */
  readonly scenario: string;
  readonly server: Endpoint;
  readonly transport: "UDP" | "TCP";
  readonly port: number;
  readonly variables?: Readonly<Record<string, string>>;
  /** Values of `[field0]`, used one after the other and again from the first; `[field1]` becomes the user's credentials. */
  readonly users?: readonly string[];
  readonly calls?: number;
  readonly callsPerSecond?: number;
  /** What the scenario's `<pause/>` waits. */
  readonly pauseMs?: number;
  /** The digest-uri without its `sip:`. */
  readonly digestUri?: string;
};

/** What SIPp counted since it started. */
export type SippCounts = {
  readonly calls: number;
  readonly failed: number;
  readonly retransmissions: number;
};

export type SippResult = SippCounts & {
  /** From its start to its end. */
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Milliseconds that the scenario timed, by the number of its timer: of all calls but some of the last. Its clock is the kernel's coarse one. */
  readonly times: ReadonlyMap<number, readonly number[]>;
};

/** A running SIPp. */
export class Sipp {
  readonly #programs: Programs;
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #startedAt = performance.now();
  #cpuSeconds = 0;
  readonly #watch: NodeJS.Timeout;

  private constructor(programs: Programs, child: ChildProcess, directory: string) {
    this.#programs = programs;
    this.#child = child;
    this.#directory = directory;
    // It holds nothing up: a run of which something else has failed must end.
    this.#watch = setInterval(() => {
      if (child.pid !== undefined && !hasEnded(child)) this.#cpuSeconds = statOf(child.pid)?.cpuSeconds ?? this.#cpuSeconds;
    }, watchMs).unref();
  }

  static async start(programs: Programs, run: SippRun): Promise<Sipp> {
    const directory = programs.directory();
    const users = join(directory, "users.csv");
    if (run.users !== undefined)
      writeFileSync(
        users,
        `SEQUENTIAL\n${run.users.map((user) => `${user};[authentication username=${user} password=bench];\n`).join("")}`,
      );
    const child = await programs.start("sipp", argumentsOf(run, run.users === undefined ? undefined : users), { cwd: directory });
    return new Sipp(programs, child, directory);
  }

  get cpuSeconds(): number {
    return this.#cpuSeconds;
  }

  /** Its numbers so far, at most a second old. */
  counts(): SippCounts {
    return parseCounts(this.#statistics());
  }

  /** Waits for its end; stops it after the bound: the calls that stand then count as failed. */
  async finished(calls: number, withinMs: number): Promise<SippResult> {
    const late = new AbortController();
    const ended = hasEnded(this.#child) ? Promise.resolve() : once(this.#child, "exit").then(() => undefined);
    const inTime = await Promise.race([ended.then(() => true), delay(withinMs, false, { signal: late.signal }).catch(() => false)]);
    late.abort();
    const seconds = (performance.now() - this.#startedAt) / 1000;
    if (!inTime) await this.#programs.stop(this.#child);
    const counts = this.counts();
    const successful = parseSuccessful(this.#statistics());
    const failed = Math.max(counts.failed, calls - successful);
    const result = { ...counts, failed, seconds, cpuSeconds: this.#cpuSeconds, times: parseTimes(this.#times()) };
    await this.stop();
    return result;
  }

  async stop(): Promise<void> {
    clearInterval(this.#watch);
    await this.#programs.stop(this.#child);
    this.#programs.removeDirectory(this.#directory);
  }

  #times(): string {
    const file = readdirSync(this.#directory).find((name) => name.endsWith("_rtt.csv"));
    return file === undefined ? "" : readFileSync(join(this.#directory, file), "utf8");
  }

  #statistics(): string {
    const file = join(this.#directory, "statistics.csv");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }
}

function columnsOf(text: string): (name: string) => string {
  const lines = text.split("\n").filter((line) => line.includes(";"));
  const names = lines[0]?.split(";") ?? [];
  const values = lines.length > 1 ? (lines.at(-1)?.split(";") ?? []) : [];
  return (name) => values[names.indexOf(name)] ?? "0";
}

/** The totals of the last line of SIPp's `-trace_stat` file; zeros when it has none yet. */
export function parseCounts(text: string): SippCounts {
  const column = columnsOf(text);
  const count = (name: string): number => Number.parseInt(column(name), 10) || 0;
  return { calls: count("TotalCallCreated"), failed: count("FailedCall(C)"), retransmissions: count("Retransmissions(C)") };
}

/** The lines of SIPp's `-trace_rtt` file: when, how long, which timer. */
export function parseTimes(text: string): Map<number, number[]> {
  const times = new Map<number, number[]>();
  for (const line of text.split("\n").slice(1)) {
    const [, ms, timer] = line.split(";").map(Number);
    if (ms === undefined || timer === undefined || Number.isNaN(ms)) continue;
    const own = times.get(timer);
    if (own === undefined) times.set(timer, [ms]);
    else own.push(ms);
  }
  return times;
}

function parseSuccessful(text: string): number {
  return Number.parseInt(columnsOf(text)("SuccessfulCall(C)"), 10) || 0;
}

function argumentsOf(run: SippRun, users: string | undefined): string[] {
  const groups: readonly (readonly string[] | undefined)[] = [
    [`${run.server.host}:${run.server.port}`],
    ["-sf", join(scenarios, `${run.scenario}.xml`)],
    ["-t", run.transport === "UDP" ? "u1" : "t1", "-i", "127.0.0.1", "-p", String(run.port), "-mi", "127.0.0.1"],
    users === undefined ? undefined : ["-inf", users],
    Object.entries(run.variables ?? {}).flatMap(([name, value]) => ["-set", name, value]),
    run.calls === undefined ? undefined : ["-m", String(run.calls), "-trace_rtt", "-rtt_freq", "100"],
    run.callsPerSecond === undefined ? undefined : ["-r", String(run.callsPerSecond), "-l", String(callsAtATimeMax)],
    run.pauseMs === undefined ? undefined : ["-d", String(run.pauseMs)],
    run.digestUri === undefined ? undefined : ["-auth_uri", run.digestUri],
    ["-trace_stat", "-stf", "statistics.csv", "-fd", "1"],
    // No reactions of its own to what a scenario does not expect. Its socket buffers are what it asks for by itself: 64 KiB, which Linux doubles.
    ["-nostdin", "-nd", "-skip_rlimit"],
  ];
  return groups.flatMap((group) => group ?? []);
}
