import { callIdsPerBindingMax } from "../limits.ts";
import { orderOf, type BindingRecord, type LiveRecord, type StateRecord } from "./state-record.ts";
import type { Dialog, DialogSide } from "./values.ts";
import { compareVersions, laterVersion } from "./version.ts";

/**
 * Merging: what a table holds after it has seen some records, in whatever order and however often. Every rule here is a join of a
 * lattice: commutative, associative, idempotent. So two replicas that have seen the same records hold the same table.
 */

/** What is held for one key. */
export type Held = {
  /** What counts. */
  readonly record: StateRecord;
  /** Bindings only: the latest record of every other Call-ID. See {@link mergeBinding}. */
  readonly others: readonly BindingRecord[];
};

const none: readonly BindingRecord[] = [];

/** Joins a record to what is held. Returns `held` itself when that changes nothing. */
export function merge(held: Held | undefined, record: StateRecord): Held {
  if (held === undefined) return { record, others: none };
  const present = held.record;
  switch (record.kind) {
    case "binding":
      return present.kind === "binding" ? mergeBinding(held, present, record) : held;
    case "subscriber":
      return compareVersions(record.version, present.version) > 0 ? { record, others: none } : held;
    case "invite":
      return isLaterCall(present, record) ? { record, others: none } : held;
    case "dialog": {
      if (present.kind !== "dialog" || present.value === undefined || record.value === undefined) {
        return isLaterCall(present, record) ? { record, others: none } : held;
      }
      const joined = joinDialogs(present, record);
      return joined === present ? held : { record: joined, others: none };
    }
  }
  return record satisfies never;
}

/** A call that is over stays over: its key is never used again, so what arrives later was on its way before. */
function isLaterCall(present: StateRecord, record: StateRecord): boolean {
  const isOver = present.value === undefined;
  if (isOver !== (record.value === undefined)) return !isOver;
  return compareVersions(record.version, present.version) > 0;
}

/**
 * RFC 3261 10.3: within a Call-ID the higher CSeq wins, whatever the versions say; between Call-IDs, and within one CSeq, the later
 * version.
 *
 * Keeping only the winner would make the outcome depend on the order of arrival: X/5 at version 1, Y/1 at version 2, X/4 at version 3
 * beat each other in a circle. So the latest record of each Call-ID is kept, and the one with the latest version of these counts. In
 * normal operation there is one; a phone that starts again has a new Call-ID, and the old one is swept when its phone could not matter
 * any more.
 */
function mergeBinding(held: Held, present: BindingRecord, record: BindingRecord): Held {
  const { callId } = orderOf(record);
  if (orderOf(present).callId === callId) {
    if (compareWithinCallId(record, present) <= 0) return held;
    return held.others.length === 0 ? { record, others: none } : electBinding([record, ...held.others]);
  }
  const all: BindingRecord[] = [present];
  let isKnown = false;
  for (const other of held.others) {
    if (orderOf(other).callId !== callId) {
      all.push(other);
      continue;
    }
    if (compareWithinCallId(record, other) <= 0) return held;
    isKnown = true;
    all.push(record);
  }
  if (!isKnown) all.push(record);
  const elected = electBinding(all);
  return elected.record === present && isSameSet(elected.others, held.others) ? held : elected;
}

function compareWithinCallId(first: BindingRecord, second: BindingRecord): number {
  const bySequence = orderOf(first).cSeq - orderOf(second).cSeq;
  if (bySequence !== 0) return bySequence;
  return compareVersions(first.version, second.version);
}

/** The latest version first, the others behind it; beyond {@link callIdsPerBindingMax} the earliest are forgotten. */
function electBinding(records: BindingRecord[]): Held {
  records.sort((first, second) => compareVersions(second.version, first.version));
  const [record, ...others] = records;
  if (record === undefined) throw new RangeError("nothing to elect from");
  return { record, others: others.slice(0, callIdsPerBindingMax - 1) };
}

function isSameSet(first: readonly BindingRecord[], second: readonly BindingRecord[]): boolean {
  return first.length === second.length && first.every((record, index) => record === second[index]);
}

/** Both sides' later halves, the later state and the later end. Returns `first` itself when the second adds nothing. */
function joinDialogs(first: LiveRecord<"dialog">, second: LiveRecord<"dialog">): LiveRecord<"dialog"> {
  const caller = laterSide(first.value.caller, second.value.caller);
  const callee = laterSide(first.value.callee, second.value.callee);
  const state = first.value.state === "confirmed" ? first.value.state : second.value.state;
  const createdAt = Math.min(first.value.createdAt, second.value.createdAt);
  const version = laterVersion(first.version, second.version);
  const expiresAt = laterExpiry(first, second);
  const source = laterSource(first.value.source, second.value.source);
  const isFirst =
    source === first.value.source &&
    caller === first.value.caller &&
    callee === first.value.callee &&
    state === first.value.state &&
    createdAt === first.value.createdAt &&
    expiresAt === first.value.expiresAt &&
    version === first.version;
  if (isFirst) return first;
  const value: Dialog = { callId: first.value.callId, caller, callee, state, createdAt, expiresAt };
  if (source !== undefined) return { kind: "dialog", key: first.key, version, value: { ...value, source } };
  return { kind: "dialog", key: first.key, version, value };
}

/** Any of two, the same whichever comes first. */
function laterSource(first: string | undefined, second: string | undefined): string | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return first < second ? second : first;
}

/** The expiry that the later version says: session timers may shorten it (RFC 4028). */
function laterExpiry(first: LiveRecord<"dialog">, second: LiveRecord<"dialog">): number {
  const order = compareVersions(first.version, second.version);
  if (order === 0) return Math.max(first.value.expiresAt, second.value.expiresAt);
  return (order > 0 ? first : second).value.expiresAt;
}

function laterSide(first: DialogSide, second: DialogSide): DialogSide {
  const order = first.cSeq - second.cSeq || compareVersions(first.version, second.version);
  return order >= 0 ? first : second;
}
