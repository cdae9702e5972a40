import { recentEndMs } from "../limits.ts";
import type { WallMs } from "../time.ts";

/**
 * What a replica can know of dialogs that it has no record of. They have ended, or were made where its memory does not reach. Times are ms since the
 * epoch.
 */
export type Memory = {
  /** Everything that was made from then on has been known, but for what was made in the gap. */
  readonly since: WallMs;
  /** While this replica was away; both 0: never, or the peer has told what it missed. */
  readonly gapFrom: number;
  readonly gapUntil: WallMs;
};

export function memoryFrom(now: WallMs): Memory {
  return { since: now, gapFrom: 0, gapUntil: 0 };
}

/**
 * The memory of a replica that starts with records on its disk, the latest of which is from `latest`. Until now the peer may have made calls. What
 * was made shortly before was not on any disk perhaps.
 */
export function memoryOnStart(known: Memory, latest: number, now: WallMs): Memory {
  const from = Math.min(known.gapUntil === 0 ? now : known.gapFrom, latest - recentEndMs);
  return { since: known.since, gapFrom: Math.max(from, 0), gapUntil: now };
}

/** The peer has told everything that it has: only what neither of the two has known is missing. At the most: gaps that overlap are one. */
export function joinMemories(own: Memory, peer: Memory): Memory {
  const since = Math.min(own.since, peer.since);
  const missing = [
    [Math.max(own.gapFrom, peer.gapFrom), Math.min(own.gapUntil, peer.gapUntil)],
    [own.gapFrom, Math.min(own.gapUntil, peer.since)],
    [peer.gapFrom, Math.min(peer.gapUntil, own.since)],
  ].filter(([from = 0, until = 0]) => until > from && until > since);
  if (missing.length === 0) return { since, gapFrom: 0, gapUntil: 0 };
  return { since, gapFrom: Math.min(...missing.map(([from = 0]) => from)), gapUntil: Math.max(...missing.map(([, until = 0]) => until)) };
}

/** From parsed JSON, or a row; undefined: it is none. */
export function memoryOf(json: unknown): Memory | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  const { since, gapFrom, gapUntil } = json as Readonly<Record<string, unknown>>;
  return isTime(since) && isTime(gapFrom) && isTime(gapUntil) ? { since, gapFrom, gapUntil } : undefined;
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

/** From text; undefined: that is none. */
export function memoryOfText(text: string): Memory | undefined {
  try {
    return memoryOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Whether a dialog that was made then may be one that this replica has never heard of. */
export function mayBeUnknown(memory: Memory, madeAt: WallMs): boolean {
  return madeAt < memory.since || (madeAt >= memory.gapFrom && madeAt <= memory.gapUntil);
}
