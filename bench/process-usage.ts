import { readdirSync, readFileSync } from "node:fs";

/** Linux counts CPU time in /proc in ticks of 10 ms on every machine that Node runs on (USER_HZ). */
const ticksPerSecond = 100;

/** What one line of /proc/PID/stat says, as far as it is needed here. */
export type ProcessStat = {
  readonly parent: number;
  /** utime + stime of all threads, those that ended included, in seconds. */
  readonly cpuSeconds: number;
};

/** Reads the text of /proc/PID/stat (proc(5)). The program's name, in parentheses, may hold spaces and parentheses. */
export function parseStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { parent: Number(fields[1]), cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond };
}

/** A size of /proc/PID/smaps_rollup or /proc/PID/status in bytes; undefined when it is not there. */
export function parseKilobytes(text: string, name: string): number | undefined {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text);
  return match === null ? undefined : Number(match[1]) * 1024;
}

/** The processes below `root`, itself first, whatever generation. `parents`: parent by process id. */
export function familyOf(root: number, parents: ReadonlyMap<number, number>): number[] {
  const family = [root];
  for (const member of family) {
    for (const [pid, parent] of parents) if (parent === member) family.push(pid);
  }
  return family;
}

/** A process and all its descendants as they are now. */
export function processTree(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(Number(name));
    if (stat !== undefined) parents.set(Number(name), stat.parent);
  }
  return familyOf(root, parents);
}

/** CPU seconds that these processes have used since they started. Throws when one is gone: what it used could not be told any more. */
export function cpuSecondsOf(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    const stat = statOf(pid);
    if (stat === undefined) throw new Error(`process ${pid} of the system under test is gone`);
    sum += stat.cpuSeconds;
  }
  return sum;
}

/** How often threads of these processes have waited for something and gone on. */
export function switchesOf(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const match = /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(textOf(`/proc/${pid}/task/${thread}/status`) ?? "");
      sum += Number(match?.[1] ?? 0);
    }
  }
  return sum;
}

/** Proportional set size of these processes together in bytes: memory that several share counts once. Resident size where there is none. */
export function memoryOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const pss = parseKilobytes(textOf(`/proc/${pid}/smaps_rollup`) ?? "", "Pss");
    return sum + (pss ?? parseKilobytes(textOf(`/proc/${pid}/status`) ?? "", "VmRSS") ?? 0);
  }, 0);
}

/** The stat of a process; undefined when there is none. */
export function statOf(pid: number): ProcessStat | undefined {
  const text = textOf(`/proc/${pid}/stat`);
  return text === undefined ? undefined : parseStat(text);
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
