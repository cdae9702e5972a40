import { missedMax, missedMin, periodMsMax, periodMsMin } from "../limits.ts";
import type { ClusterMap } from "../map/cluster-map.ts";
import { mapVersionOf, uponOf, writerUpon } from "../map/map-version.ts";
import type { HeartbeatSettings } from "./view.ts";

/**
 * What the operator changes most while the cluster runs, with the version of the map that says so. To cells of a release that knows no other change of
 * the map this is all that is told of it.
 */
export type GroupSettings = { readonly version: number; readonly heartbeat: HeartbeatSettings };

export function settingsOf({ version, heartbeat }: ClusterMap): GroupSettings {
  return { version, heartbeat };
}

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
 * The map with settings that a cell of an earlier release has made. Such a cell numbers them so that the remainder names it (by the number of cells).
 * Its writer says upon which map they were laid (see {@link writerUpon}). So all who hear of them upon one map make the same one.
 * Of two that were laid upon different maps, the one upon the higher is the higher.
 */
export function withSettings(map: ClusterMap, { version, heartbeat }: GroupSettings): ClusterMap {
  const cell = map.cells[version % map.cells.length]?.id ?? "";
  const writer = writerUpon(uponOf(map) ?? mapVersionOf(map), cell);
  return { ...map, version, writer, statedAt: map.statedAt ?? map.version, heartbeat };
}

function isWholeBetween(value: unknown, min: number, max: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= min && value <= max;
}
