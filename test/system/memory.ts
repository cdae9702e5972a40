import { readFileSync } from "node:fs";

/** Resident memory of a process (proc(5), Linux), KiB; 0 where it cannot be told. */
export function residentKilobytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
