import { bindingKind } from "./binding-record.ts";
import { dialogKind } from "./dialog-record.ts";
import { inviteKind } from "./invite-record.ts";
import type { KindDefinition } from "./kind-definition.ts";
import { subscriberKind } from "./subscriber-record.ts";
import { unreadKind } from "./unread-record.ts";
import type { LiveRecord } from "./state-record.ts";
import type { RecordKind } from "./values.ts";

/** Every kind of record, and what it is. A new one is a file with its definition, a line here, and its value in values.ts. */
export const kinds: Readonly<Record<RecordKind, KindDefinition<RecordKind>>> = {
  subscriber: subscriberKind,
  binding: bindingKind,
  invite: inviteKind,
  dialog: dialogKind,
  unread: unreadKind,
};

export function isOfCall(record: LiveRecord): record is LiveRecord<"invite" | "dialog"> {
  return kinds[record.kind].isOfCall;
}
