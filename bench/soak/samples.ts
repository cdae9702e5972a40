import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** What was seen of a running system at one moment. A figure has a name: "cell a: memory, MiB". */
export type Sample = { readonly seconds: number; readonly figures: Readonly<Record<string, number>> };

/** What a figure is of, and how it is called in one sample and the table. */
export const memory = "memory, MiB";
export const descriptors = "descriptors";
export const disk = "disk, KiB";
export const rows = "rows";

export function figureName(part: string, what: string): string {
  return `${part}: ${what}`;
}

/** Files that a process has open; undefined when it is gone. */
export function openFilesOf(pid: number): number | undefined {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return undefined;
  }
}

/** Octets of all files below a directory. */
export function octetsBelow(directory: string): number {
  let sum = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    try {
      sum += statSync(join(entry.parentPath, entry.name)).size;
    } catch {
      // A file that was there a moment ago.
    }
  }
  return sum;
}

/** The mean of a figure from one moment up to another, in seconds; undefined when no sample has it. */
export function meanOf(samples: readonly Sample[], name: string, from: number, to: number): number | undefined {
  const values = samples.flatMap(({ seconds, figures }) => (seconds >= from && seconds < to ? (figures[name] ?? []) : []));
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}
