import { bindingExpiryLagMs } from "../limits.ts";
import type { LiveRecord, StateRecord } from "./state-record.ts";
import type { Binding, Dialog, DialogSide } from "./values.ts";

/**
 * Which changes are worth a row on the disk. The disk is what is left when both memories are gone: it must not forget a phone, a
 * subscriber or where a call's phones are, and it may lag in everything else.
 */
export type RowPolicy = (onDisk: StateRecord | undefined, record: StateRecord) => boolean;

/**
 * True when `record` must replace (or join) what is on the disk. A binding that was only refreshed is written again when its end has
 * moved by more than {@link bindingExpiryLagMs}, by which {@link recoveredRecord} extends it; a dialog when a side has moved. Neither for every
 * CSeq, nor a binding for another Call-ID, which some phones take for every REGISTER: those order what arrives, and nothing that is under way
 * outlives both memories.
 */
export function needsRow(onDisk: StateRecord | undefined, record: StateRecord): boolean {
  if (onDisk === undefined || record.value === undefined || onDisk.value === undefined) return true;
  if (record.kind === "binding" && onDisk.kind === "binding") return isBindingMoved(onDisk.value, record.value);
  if (record.kind === "dialog" && onDisk.kind === "dialog") return isDialogMoved(onDisk.value, record.value);
  return true;
}

function isBindingMoved(onDisk: Binding, binding: Binding): boolean {
  return (
    Math.abs(binding.expiresAt - onDisk.expiresAt) > bindingExpiryLagMs ||
    binding.flow !== onDisk.flow ||
    binding.contact !== onDisk.contact ||
    binding.parameters !== onDisk.parameters ||
    binding.q !== onDisk.q ||
    binding.instanceId !== onDisk.instanceId ||
    binding.regId !== onDisk.regId ||
    binding.transport !== onDisk.transport ||
    binding.received !== onDisk.received ||
    binding.userAgent !== onDisk.userAgent ||
    binding.path.length !== onDisk.path.length ||
    binding.path.some((route, index) => route !== onDisk.path[index])
  );
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

/**
 * What a row counts as when it is read back: a binding lives on for the time by which its row may lag, so that no phone that has
 * refreshed is forgotten. Until its next REGISTER a phone that had gone without a word may be called in vain; one that had
 * unregistered not, because removals are always written. The pair's record of the same version, with the exact end, wins over this one.
 */
export function recoveredRecord(record: StateRecord): StateRecord {
  if (record.kind !== "binding" || record.value === undefined) return record;
  const value: Binding = { ...record.value, expiresAt: record.value.expiresAt + bindingExpiryLagMs };
  return { kind: "binding", key: record.key, version: record.version, value } satisfies LiveRecord<"binding">;
}
