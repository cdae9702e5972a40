import type { StateRecord } from "./state-record.ts";
import type { Dialog, DialogSide } from "./values.ts";

/**
 * Which changes are worth a row on the disk. The disk is what is left when both memories are gone: it must not forget a phone, a
 * subscriber or where a call's phones are, and it may lag in everything else.
 */
export type RowPolicy = (onDisk: StateRecord | undefined, record: StateRecord) => boolean;

/**
 * True when `record` must replace (or join) what is on the disk. Every refresh of a binding must: a row that is behind either forgets a phone too
 * early or calls one that has gone (docs/decisions/0016-expiries-are-exact.md). A dialog is written again when a side has moved, not for every
 * CSeq: those order what arrives, and nothing that is under way outlives both memories.
 */
export function needsRow(onDisk: StateRecord | undefined, record: StateRecord): boolean {
  if (onDisk === undefined || record.value === undefined || onDisk.value === undefined) return true;
  if (record.kind === "dialog" && onDisk.kind === "dialog") return isDialogMoved(onDisk.value, record.value);
  return record.version !== onDisk.version;
}

function isDialogMoved(onDisk: Dialog, dialog: Dialog): boolean {
  return (
    dialog.state !== onDisk.state ||
    dialog.expiresAt !== onDisk.expiresAt ||
    isSideMoved(onDisk.caller, dialog.caller) ||
    isSideMoved(onDisk.callee, dialog.callee)
  );
}

function isSideMoved(onDisk: DialogSide, side: DialogSide): boolean {
  return side.contact !== onDisk.contact || side.flow !== onDisk.flow || side.instanceId !== onDisk.instanceId;
}
