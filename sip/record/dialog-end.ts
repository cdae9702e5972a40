import { dialogUnacknowledgedMs } from "../limits.ts";
import type { Dialog } from "./values.ts";

/** When a dialog is over if nothing more is heard of it: soon while its 2xx has not been acknowledged. */
export function endOfDialog(dialog: Dialog): number {
  return dialog.state === "answered" ? Math.min(dialog.expiresAt, dialog.createdAt + dialogUnacknowledgedMs) : dialog.expiresAt;
}
