import { kinds } from "./record-kinds.ts";
import type { StateRecord } from "./state-record.ts";

/**
 * Which changes are worth a row on the disk. The disk is what is left when both memories are gone: it must not forget a phone, a
 * subscriber or where a call's phones are, and it may lag in everything else.
 */
export type RowPolicy = (onDisk: StateRecord | undefined, record: StateRecord) => boolean;

/** True when `record` must replace (or join) what is on the disk: every beginning and every end, and of what goes on what its kind says. */
export function needsRow(onDisk: StateRecord | undefined, record: StateRecord): boolean {
  if (onDisk === undefined || record.value === undefined || onDisk.value === undefined) return true;
  return kinds[record.kind].needsRow(onDisk, record);
}
