import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ChildProcess } from "node:child_process";
import { Failure } from "../cli/errors.ts";
import { freePorts } from "../kit/world/free-ports.ts";
import { startTandem, type Tandem } from "../kit/world/tandem.ts";
import { type Plan, planOf } from "./overload/plan.ts";
import { LineProcess } from "./line-process.ts";
import { Callees } from "./load.ts";
import { Others, comparison, lossOf, unusable } from "./overload/others.ts";
import { cpuSecondsOf, memoryOf, processTree } from "./process-usage.ts";
import { Programs, hasEnded } from "./programs.ts";
import { SipClient, registerAll } from "./sip-client.ts";

const domain = "bench.test";
const talkMs = 1_000;
const recoverySeconds = 5;
const warmSeconds = 60;
/** Each rate is tried for so long, and then the next, which is so many times as high. */
const fitSeconds = 8;
const fitStep = 1.12;
/** What others wait before a flood is measured for so long. */
const quietSeconds = 20;

type Counts = { made: number; answered: number; ended: number; refused: number; failed: number; again: number };

function log(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Whole calls from one SIPp, of which a 503 is no failure. */
class Callers {
  readonly #programs: Programs;
  readonly #directory: string;
  readonly #child: ChildProcess;

  private constructor(programs: Programs, directory: string, child: ChildProcess) {
    this.#programs = programs;
    this.#directory = directory;
    this.#child = child;
  }

  static async start(programs: Programs, port: number, users: readonly string[], plan: CallersPlan): Promise<Callers> {
    const directory = programs.directory();
    writeFileSync(join(directory, "users.csv"), `SEQUENTIAL\n${users.map((user) => `${user};\n`).join("")}`);
    const scenario = join(import.meta.dirname, "scenarios", "patient-caller.xml");
    const own = String(await freePorts(1));
    const args = [`127.0.0.1:${port}`, "-sf", scenario, "-t", "u1", "-i", "127.0.0.1", "-p", own, "-mi", "127.0.0.1", "-inf", "users.csv"];
    args.push(
      "-set",
      "domain",
      domain,
      "-m",
      String(plan.calls),
      "-r",
      String(plan.callsPerSecond),
      "-l",
      "200000",
      "-d",
      String(plan.talkMs),
    );
    args.push("-trace_stat", "-stf", "statistics.csv", "-fd", "1", "-nostdin", "-nd", "-skip_rlimit", "-buff_size", "4194304");
    return new Callers(programs, directory, await programs.start("sipp", args, { cwd: directory }));
  }

  get isOver(): boolean {
    return hasEnded(this.#child);
  }

  counts(): Counts {
    const file = join(this.#directory, "statistics.csv");
    const lines = (existsSync(file) ? readFileSync(file, "utf8") : "").split("\n").filter((line) => line.includes(";"));
    const names = lines[0]?.split(";") ?? [];
    const values = lines.length > 1 ? (lines.at(-1)?.split(";") ?? []) : [];
    const of = (name: string): number => Number.parseInt(values[names.indexOf(name)] ?? "0", 10) || 0;
    return {
      made: of("TotalCallCreated"),
      answered: of("GenericCounter1(C)"),
      ended: of("GenericCounter2(C)"),
      refused: of("GenericCounter3(C)"),
      failed: of("FailedCall(C)"),
      again: of("Retransmissions(C)"),
    };
  }

  /** Waits for its end, and ends it after the bound. */
  async finish(withinMs: number): Promise<Counts> {
    const until = performance.now() + withinMs;
    while (!this.isOver && performance.now() < until) await delay(200);
    if (!this.isOver) await this.#programs.stop(this.#child);
    return this.counts();
  }
}

type CallersPlan = { readonly calls: number; readonly callsPerSecond: number; readonly talkMs: number };

/** A cgroup of version 1 or 2 with so much of a core; undefined: none can be made here. */
function throttle(share: number, pids: readonly number[]): (() => void) | undefined {
  const name = `tandem-overload-${process.pid}`;
  for (const [root, write] of [
    ["/sys/fs/cgroup/cpu", (group: string) => [writeFileSync(join(group, "cpu.cfs_quota_us"), String(Math.round(share * 100_000)))]],
    ["/sys/fs/cgroup", (group: string) => [writeFileSync(join(group, "cpu.max"), `${Math.round(share * 100_000)} 100000`)]],
  ] as const) {
    const group = join(root, name);
    try {
      if (!existsSync(join(root, "cgroup.procs"))) continue;
      mkdirSync(group);
      write(group);
      for (const pid of pids) writeFileSync(join(group, "cgroup.procs"), String(pid));
      return () => rmdirSync(group);
    } catch {
      // The other version is tried.
    }
  }
  return undefined;
}

type Rig = {
  readonly programs: Programs;
  readonly system: Tandem;
  readonly port: number;
  readonly users: readonly string[];
  readonly pids: readonly number[];
};

/** Prints each second what the callers and the system did, as long as `goesOn`. */
async function watch({ pids }: Rig, callers: Callers | undefined, goesOn: (second: number) => boolean): Promise<number> {
  const startedAt = performance.now();
  let before = callers?.counts();
  let memoryMax = 0;
  let cpu = pids.map((pid) => cpuSecondsOf([pid]));
  for (let second = 1; goesOn(second); second += 1) {
    await delay(Math.max(0, startedAt + second * 1_000 - performance.now()));
    const now = callers?.counts();
    const memory = pids.map((pid) => memoryOf([pid]));
    memoryMax = Math.max(
      memoryMax,
      memory.reduce((sum, one) => sum + one, 0),
    );
    const part = (name: keyof Counts): string => `${name} +${(now?.[name] ?? 0) - (before?.[name] ?? 0)}, `;
    const used = pids.map((pid) => cpuSecondsOf([pid]));
    const percents = used.map((seconds, index) => ((seconds - (cpu[index] ?? 0)) * 100).toFixed(0));
    const counts = now === undefined ? "" : (["made", "answered", "ended", "refused", "failed", "again"] as const).map(part).join("");
    log(`  ${second} s: ${counts}% of a core ${percents.join("/")}; MB ${memory.map(megabytes).join("/")}`);
    cpu = used;
    before = now;
  }
  return memoryMax;
}

function megabytes(octets: number): string {
  return (octets / 1e6).toFixed(0);
}

function membersDown({ system }: Rig): readonly string[] {
  const lines = system.events.flatMap(({ text }) => (typeof text === "string" ? [text] : []));
  return lines.filter((text) => / is down,| takeover |backhaul-down/.test(text));
}

async function throttled(rig: Rig, { share, rate, seconds }: Plan): Promise<void> {
  const { programs, system, port, users } = rig;
  const free = throttle(share, processTree(system.pid));
  if (free === undefined) throw new Error("no cgroup can be made here: this needs root, and a cgroup tree that may be written");
  try {
    const fits = await whatFits(rig, rate);
    await delay(recoverySeconds * 1_000);
    const over = await Callers.start(programs, port, users, { calls: rate * seconds, callsPerSecond: rate, talkMs });
    await watch(rig, over, (second) => second <= seconds);
    const few = Math.round(rate / 9);
    await delay(recoverySeconds * 1_000);
    const after = await Callers.start(programs, port, users, { calls: few * 5, callsPerSecond: few, talkMs });
    await watch(rig, after, (second) => second <= 8);
    const normal = await after.finish(20_000);
    const counts = await over.finish(10_000);
    const completed = counts.ended / seconds;
    log(`offered ${rate}/s for ${seconds} s at ${share} of a core: ${summary(counts)}`);
    log(`fits without failure ${fits}/s; completed ${completed.toFixed(0)}/s, which is ${((100 * completed) / fits).toFixed(0)} % of it`);
    log(`lost within dialogs ${counts.answered - counts.ended}`);
    log(`${recoverySeconds} s later, ${few}/s: ${summary(normal)}`);
  } finally {
    await system.stop();
    setTimeout(free, 0);
  }
}

/** The highest rate without a call that fails or is refused, after a minute of calls: V8 has compiled by then what it will. */
async function whatFits({ programs, port, users }: Rig, rate: number): Promise<number> {
  const start = Math.round(rate / 8);
  const warm = await Callers.start(programs, port, users, { calls: start * warmSeconds, callsPerSecond: start, talkMs });
  log(`a minute of ${start}/s: ${summary(await warm.finish((warmSeconds + 20) * 1_000))}`);
  for (let next = start; next < rate; next = Math.ceil(next * fitStep)) {
    const calls = next * fitSeconds;
    const callers = await Callers.start(programs, port, users, { calls, callsPerSecond: next, talkMs });
    const counts = await callers.finish((fitSeconds + 10) * 1_000);
    log(`  ${next}/s: ${summary(counts)}`);
    if (counts.ended < calls) return Math.ceil(next / fitStep);
  }
  return rate;
}

async function rush(rig: Rig, { rate, seconds }: Plan): Promise<void> {
  const { programs, port, users, pids } = rig;
  const standing = 300;
  const before = memoryOf(pids);
  const stand = await Callers.start(programs, port, users, { calls: standing, callsPerSecond: 100, talkMs: (seconds + 10) * 1_000 });
  await delay(4_000);
  const over = await Callers.start(programs, port, users, { calls: rate * seconds, callsPerSecond: rate, talkMs });
  const memoryMax = await watch(rig, over, (second) => second <= seconds + 8);
  const ended = await stand.finish(40_000);
  await over.finish(1_000);
  log(`offered ${rate}/s for ${seconds} s: ${summary(over.counts())}`);
  log(`standing calls: ${summary(ended)}`);
  await tellMemory(pids, before, memoryMax);
}

async function flood(rig: Rig, { rate, seconds, kind, messages, sources }: Plan): Promise<void> {
  const { programs, port, pids } = rig;
  const silent = createSocket({ type: "udp4" }).bind(await freePorts(1), "127.0.0.1");
  await once(silent, "listening");
  const client = await SipClient.open({ host: "127.0.0.1", port });
  await registerAll(client, domain, ["silent"], (user) => `sip:${user}@127.0.0.1:${silent.address().port}`);
  const others = await Others.start(programs, port, domain);
  // Code is warm after it.
  await others.run(rate, 10);
  const quiet = await others.run(rate, quietSeconds);
  const reason = unusable(quiet);
  if (reason !== undefined) {
    await client.close();
    silent.close();
    throw new Failure(`${reason} (before: ${lossOf(quiet)})`);
  }
  const before = memoryOf(pids);
  const addresses = Array.from({ length: sources }, (_, index) => `127.0.1.${index + 1}`).join(",");
  const script = join(import.meta.dirname, "overload", "flood.ts");
  const args = [kind, String(messages), String(seconds), String(port), domain, addresses];
  const flooding = await LineProcess.start(programs, script, args);
  const sent = flooding.next<number>();
  const running = others.run(rate, seconds);
  const memoryMax = await watch(rig, undefined, (second) => second <= seconds);
  const during = await running;
  log(`${sources} sources, ${await sent} messages of ${kind} in ${seconds} s`);
  for (const line of comparison(quiet, during)) log(line);
  log(`others before: ${lossOf(quiet)}`);
  log(`others during: ${lossOf(during)}`);
  await tellMemory(pids, before, memoryMax);
  log(`others after: ${lossOf(await others.run(rate, 10))}`);
  await client.close();
  silent.close();
}

/** How much of it is back within a minute. */
async function tellMemory(pids: readonly number[], before: number, memoryMax: number): Promise<void> {
  for (let second = 0; second <= 60; second += 10) {
    const each = pids.map((pid) => megabytes(memoryOf([pid]))).join("/");
    log(
      `memory ${second} s after: ${megabytes(memoryOf(pids))} MB (${each}); before ${megabytes(before)}, at most ${megabytes(memoryMax)}`,
    );
    if (second < 60) await delay(10_000);
  }
}

function summary({ made, answered, ended, refused, failed, again }: Counts): string {
  return `${made} made, ${answered} answered, ${ended} ended well, ${refused} refused with 503, ${failed} failed, ${again} said again`;
}

const works = { throttled, rush, flood };
async function main(plan: Plan): Promise<void> {
  const programs = new Programs();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void programs.stopAll().finally(() => process.exit(1)));
  try {
    const system = await startTandem({
      domain,
      auth: "open",
      restart: false,
      state: programs.directory(),
      ...(plan.checkout === undefined ? {} : { checkout: plan.checkout }),
      spawn: (command, args) => programs.start(command, args, { stdio: ["ignore", "pipe", "pipe"] }),
    });
    const { cells, gateways } = system.run;
    const port = gateways[0]?.listeners.find(({ transport }) => transport === "UDP")?.port ?? 0;
    const callees = await Callees.start(programs, { sip: { host: "127.0.0.1", port }, domain }, { transport: "UDP", count: 100 });
    const pids = [...gateways, ...cells].map(({ pid }) => pid);
    const rig: Rig = { programs, system, port, users: callees.users, pids };
    // Programs that have just started are slower than they will be.
    const warm = await Callers.start(programs, port, callees.users, { calls: 1_500, callsPerSecond: 300, talkMs: 200 });
    log(`warm: ${summary(await warm.finish(15_000))}`);
    await works[plan.name](rig, plan);
    const down = membersDown(rig);
    log(`members declared down, ways given up: ${down.length}`);
    for (const line of down.slice(0, 20)) log(`  ${line}`);
    for (const { text } of system.events) if (typeof text === "string" && /overload|reads |second replica/.test(text)) log(`  ${text}`);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  } finally {
    await programs.stopAll();
  }
}

const plan = planOf(process.argv.slice(2));
if ("text" in plan) {
  (plan.code === 0 ? process.stdout : process.stderr).write(plan.text);
  process.exitCode = plan.code;
} else await main(plan);
