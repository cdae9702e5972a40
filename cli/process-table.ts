import { existsSync, readFileSync } from "node:fs";
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
