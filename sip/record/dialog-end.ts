import { dialogUnacknowledgedMs } from "../limits.ts";
import type { LiveRecord } from "./state-record.ts";
import type { Dialog } from "./values.ts";

/** When a dialog is over if nothing more is heard of it: soon while its 2xx has not been acknowledged. */
export function endOfDialog(dialog: Dialog): number {
  return dialog.state === "answered" ? Math.min(dialog.expiresAt, dialog.createdAt + dialogUnacknowledgedMs) : dialog.expiresAt;
}

/** The same of any call. */
export function endOfCall(record: LiveRecord<"invite" | "dialog">): number {
  return record.kind === "dialog" ? endOfDialog(record.value) : record.value.expiresAt;
}
