import { kinds } from "./record-kinds.ts";
import type { StateRecord } from "./state-record.ts";

/**
 * Which changes are worth a row on the disk. The disk is what is left when both memories are gone. It must not forget a phone, a subscriber or where
 * a call's phones are. It may lag in everything else.
 */
export type RowPolicy = (onDisk: StateRecord | undefined, record: StateRecord) => boolean;

/** True when `record` must replace (or join) what is on the disk. Every beginning and every end must. For what goes on its kind decides. */
export function needsRow(onDisk: StateRecord | undefined, record: StateRecord): boolean {
  if (onDisk === undefined || record.value === undefined || onDisk.value === undefined) return true;
  return kinds[record.kind].needsRow(onDisk, record);
}
