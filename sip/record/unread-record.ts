import { bindingTombstoneMs, recordOctetsMax, unreadKindCharactersMax } from "../limits.ts";
import { alive, isFields, isList, isText, isTime, type Fields, type List } from "./fields.ts";
import { asItCame, isLaterVersion, needsRowOfItsVersion, type KindDefinition } from "./kind-definition.ts";
import type { LiveRecord } from "./state-record.ts";
import type { Unread } from "./values.ts";
import { isVersion } from "./version.ts";

/**
 * Records of kinds that this release does not know. A replica that runs an earlier release than its peer, or than it ran itself, carries them as they
 * came, from the peer to its disk and back. It cannot merge them, so of each the later version counts; who knows the kind merges what it gets. It
 * forgets one when its text says that it has been over for longer than anybody remembers an end.
 */
export const unreadKind: KindDefinition<"unread"> = {
  tombstoneMs: bindingTombstoneMs,
  isOfCall: false,
  hasRowsWithPeer: true,
  textOf: ({ value }) => value.text,
  // What is read is never of this kind by its own words: see unreadOf.
  fieldsOf: () => ({}),
  read: () => undefined,
  merge: (held, record) => (isLaterVersion(record, held.record) ? { record, others: none } : held),
  needsRow: needsRowOfItsVersion,
  forgottenAt: ({ value }) => value.forgottenAt ?? Number.POSITIVE_INFINITY,
  own: asItCame,
  sharing: asItCame,
};

/** Its key: the kind, and its own key. */
export function unreadKey(kind: string, key: string): string {
  return [kind, " ", key].join("");
}

const none: readonly never[] = [];

/** A record of a kind that is not known; undefined: it is no record. */
export function unreadOf(json: Fields | List): LiveRecord<"unread"> | undefined {
  const [kind, key, version] = isList(json) ? json : [json["kind"], json["key"], json["version"]];
  if (!isText(kind) || !/^[a-z][a-z-]*$/.test(kind) || kind.length > unreadKindCharactersMax) return undefined;
  if (!isText(key) || key === "" || !isText(version) || !isVersion(version)) return undefined;
  const text = JSON.stringify(json);
  if (text.length > recordOctetsMax) return undefined;
  const value: Unread = { text, forgottenAt: isList(json) ? forgottenAtOf(json) : forgottenAt(json) };
  return { kind: "unread", key: unreadKey(kind, key), version, value };
}

/** All kinds say the same way when they end: a tombstone in `until`, what is alive in its value's `expiresAt`. */
function forgottenAt({ until, value }: Fields): number | undefined {
  if (isTime(until)) return until;
  const expiresAt = isFields(value) ? value["expiresAt"] : undefined;
  return isTime(expiresAt) ? expiresAt + bindingTombstoneMs : undefined;
}

/** The same of a list: either stands in the fourth place, and which of them it is in the fifth. */
function forgottenAtOf([, , , endsAt, state]: List): number | undefined {
  if (!isTime(endsAt)) return undefined;
  return state === alive ? endsAt + bindingTombstoneMs : endsAt;
}
