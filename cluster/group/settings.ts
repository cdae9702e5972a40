import type { HeartbeatSettings } from "./view.ts";

/** What can be changed while the cluster runs. The version is the cluster map's: a change is a new version of the map. */
export type GroupSettings = { readonly version: number; readonly heartbeat: HeartbeatSettings };

/** Below: more traffic than use, and pauses of a busy machine look like failures. */
export const periodMsMin = 100;
/** Above: nobody would be found dead within minutes. */
export const periodMsMax = 60_000;
export const missedMin = 1;
export const missedMax = 20;

/** Heartbeat settings that are within bounds; undefined when they are not. */
function readHeartbeatSettings(value: unknown): HeartbeatSettings | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { periodMs, missed } = value as { readonly periodMs?: unknown; readonly missed?: unknown };
  if (!isWholeBetween(periodMs, periodMsMin, periodMsMax) || !isWholeBetween(missed, missedMin, missedMax)) return undefined;
  return { periodMs, missed };
}

/** Settings that came over the network or from disk; undefined when they are none. */
export function readSettings(value: unknown): GroupSettings | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { version, heartbeat } = value as { readonly version?: unknown; readonly heartbeat?: unknown };
  const read = readHeartbeatSettings(heartbeat);
  return isWholeBetween(version, 0, Number.MAX_SAFE_INTEGER) && read !== undefined ? { version, heartbeat: read } : undefined;
}

/**
 * The version of a change made by a cell: above the known one, and never the same as another cell's. So two changes made on the two sides of a cut
 * are still in an order that everybody agrees on. `index`: of the cell in the map.
 */
export function nextVersion(known: number, index: number, cells: number): number {
  const version = known + 1;
  return version + ((((index - version) % cells) + cells) % cells);
}

function isWholeBetween(value: unknown, min: number, max: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= min && value <= max;
}
