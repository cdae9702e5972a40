import { existsSync, readdirSync, readFileSync } from "node:fs";
import { codeOf } from "./errors.ts";

/** Fields of Linux's /proc/PID/stat behind the program's name; the first is the state (field 3 in proc(5)). Undefined when there are none. */
function fieldsOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may hold anything.
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/**
 * When a process was started (clock ticks since boot): with the id it names one process, though ids are used again.
 * "" where there is no /proc and the id alone must do. Undefined when there is no such process, or when it has ended and only waits for
 * its parent to look.
 */
export function startOf(pid: number): string | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) !== "EPERM") return undefined;
  }
  if (!existsSync("/proc/self/stat")) return "";
  const fields = fieldsOf(pid);
  return fields === undefined || fields[0] === "Z" ? undefined : fields[19];
}

/** The parent of a process; undefined where that cannot be told. */
export function parentOf(pid: number): number | undefined {
  const parent = fieldsOf(pid)?.[1];
  return parent === undefined ? undefined : Number(parent);
}

/** The name that a process has given itself; undefined where that cannot be told. */
export function nameOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** What a process uses, as far as that can be told: nothing of it where there is no /proc. */
export type Usage = {
  /** Of all processors together, since its start. */
  readonly cpuSeconds?: number;
  readonly memoryOctets?: number;
  readonly descriptors?: number;
};

/** Linux counts processor time in hundredths of a second for programs, whatever the kernel does (proc(5)). */
const ticksPerSecond = 100;

export function usageOf(pid: number): Usage {
  const fields = fieldsOf(pid);
  if (fields === undefined) return {};
  const ticks = Number(fields[11]) + Number(fields[12]);
  const memory = memoryOf(pid);
  const descriptors = descriptorsOf(pid);
  return {
    ...(Number.isFinite(ticks) ? { cpuSeconds: ticks / ticksPerSecond } : {}),
    ...(memory === undefined ? {} : { memoryOctets: memory }),
    ...(descriptors === undefined ? {} : { descriptors }),
  };
}

function memoryOf(pid: number): number | undefined {
  try {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1_024;
  } catch {
    return undefined;
  }
}

function descriptorsOf(pid: number): number | undefined {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return undefined;
  }
}
