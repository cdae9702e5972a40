import { readFileSync } from "node:fs";

/**
 * workerd ends when it cannot accept a connection for want of a file descriptor, and all its calls with it. So a cell is told how many softphones
 * it may take, and the rest is left for what has to find room whenever it comes.
 */

/** A softphone's WebSocket takes two: one where it comes in, one at the object that holds it. */
const perSoftphone = 2;
/** What a cell has beside its exchanges: its own files, core group, lines, other cells' requests, and control links of some dozen gateways. */
const reservedForCell = 192;
/** An exchange's database has three, its peer's link two, and the backhaul of each gateway two: five gateways. */
const reservedPerExchange = 15;
/**
 * Of all there are, for connections that have been accepted and not answered yet, the refused ones too, and for those that have closed and are
 * let go a few seconds later: when a cell dies, its softphones come to the other one all at once.
 */
const reservedShare = 0.2;
/** Fewer than this are worth a line: two thousand that come back at once are part of what docs/failover.md promises. */
export const softphonesFew = 2_000;

/** Descriptors that children of this process may have open, as /proc/self/limits says; undefined where there is no limit, or nobody says it. */
export function descriptorsMax(): number | undefined {
  try {
    return descriptorsMaxOf(readFileSync("/proc/self/limits", "utf8"));
  } catch {
    // No Linux.
    return undefined;
  }
}

/** The soft limit in the text of /proc/PID/limits (proc(5)); undefined: unlimited, or it says none. */
export function descriptorsMaxOf(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)\s/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

/** Softphones that a cell with so many descriptors may take, at least one. */
export function softphonesMaxFor(descriptors: number, exchangeCount: number): number {
  const reserved = reservedForCell + reservedPerExchange * exchangeCount + descriptors * reservedShare;
  return Math.max(1, Math.floor((descriptors - reserved) / perSoftphone));
}
