/**
 * What a replica can know of dialogs that it has no record of: whether they have ended, or were made where its memory does not reach. Times are ms
 * since the epoch.
 */
export type Memory = {
  /** Everything that was made from then on has been known, but for what was made in the gap. */
  readonly since: number;
  /** While this replica was away; both 0: never, or the pair has told what it missed. */
  readonly gapFrom: number;
  readonly gapUntil: number;
};

export function memoryFrom(now: number): Memory {
  return { since: now, gapFrom: 0, gapUntil: 0 };
}

/** Whether a dialog that was made then may be one that this replica has never heard of. */
export function mayBeUnknown(memory: Memory, madeAt: number): boolean {
  return madeAt < memory.since || (madeAt >= memory.gapFrom && madeAt <= memory.gapUntil);
}
