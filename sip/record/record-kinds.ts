import { bindingKind } from "./binding-record.ts";
import { callKind } from "./call-record.ts";
import { dialogKind } from "./dialog-record.ts";
import { inviteKind } from "./invite-record.ts";
import type { KindDefinition } from "./kind-definition.ts";
import { subscriberKind } from "./subscriber-record.ts";
import { unreadKind } from "./unread-record.ts";
import type { LiveRecord } from "./state-record.ts";
import type { CallKind, RecordKind } from "./values.ts";

/**
 * Every kind of record, and what it is. A new one is a file with its definition, a line here, and its value in values.ts. All else that has something
 * for each kind, as tables, counters and logs, is made from this list.
 */
export const kinds: Readonly<Record<RecordKind, KindDefinition<RecordKind>>> = {
  subscriber: subscriberKind,
  binding: bindingKind,
  invite: inviteKind,
  dialog: dialogKind,
  call: callKind,
  unread: unreadKind,
} satisfies { readonly [Kind in RecordKind]: KindDefinition<Kind> };

// An object that is written out has no other keys than its type.
export const recordKinds: readonly RecordKind[] = Object.keys(kinds) as RecordKind[];

/** The kinds that stand in records: a record that is carried unread names a kind that is not known here. */
export const namedKinds: readonly Exclude<RecordKind, "unread">[] = recordKinds.filter((kind) => kind !== "unread");

/** One of something for each kind. All that this makes has the same shape, which the code that looks things up by kind is compiled for. */
export function oneForEachKind<Value>(make: (kind: RecordKind) => Value): Record<RecordKind, Value> {
  const made: Partial<Record<RecordKind, Value>> = {};
  for (const kind of recordKinds) made[kind] = make(kind);
  // Each kind has had its turn.
  return made as Record<RecordKind, Value>;
}

export function isOfCall(record: LiveRecord): record is LiveRecord<CallKind> {
  return kinds[record.kind].isOfCall;
}
