import type { Fields, List } from "./fields.ts";
import type { SharedTexts } from "./own-texts.ts";
import type { BindingRecord, LiveRecord, StateRecord } from "./state-record.ts";
import type { CallKind, RecordKind, RecordValues } from "./values.ts";
import { compareVersions, type Version } from "./version.ts";

/**
 * What makes a kind of record: all that a replica needs to know to hold one. Its value's fields are in values.ts.
 *
 * The functions that make its keys stand beside the definition. A space separates the parts of a key. It can stand in none of them. By RFC 3261 25.1
 * a callid, a token and the escaped user of an address-of-record have no white space.
 */
export type KindDefinition<Kind extends RecordKind> = {
  /** How long a tombstone is kept at least, ms. */
  readonly tombstoneMs: number;
  /** Whether it is of a call. Ends of others have rows for as long as they are remembered; most calls never touch the disk. A call that nobody ends is told of when it is forgotten. */
  readonly isOfCall: Kind extends CallKind ? true : false;
  /** Whether it has rows while the peer is there. What lasts seconds needs none as long as the peer holds it. */
  readonly hasRowsWithPeer: boolean;
  /** What is alive as text; see record-text.ts. */
  textOf(record: LiveRecord<Kind>): string;
  /** The fields of its value out of the list that {@link textOf} wrote. */
  fieldsOf(list: List, version: Version): Fields;
  /** Its value out of its fields; undefined: it is malformed. Fields that do not belong to it are dropped. */
  read(json: Fields): RecordValues[Kind] | undefined;
  /**
   * Joins a record to what is held of its key; `held` itself when that changes nothing. A join of a lattice: commutative, associative,
   * idempotent. So two replicas that have seen the same records hold the same table.
   */
  merge(held: Held, record: StateRecord<Kind>): Held;
  /** Whether what is alive must replace the row of one that was. */
  needsRow(onDisk: LiveRecord<Kind>, record: LiveRecord<Kind>): boolean;
  /** When what is alive is forgotten because nothing more was heard of it, milliseconds since the epoch; Infinity: never. */
  forgottenAt(record: LiveRecord<Kind>): number;
  /** The value with texts of its own; see own-texts.ts. `earlier`: the value of the same key until now. May return `value` itself. */
  own(value: RecordValues[Kind], earlier: RecordValues[Kind] | undefined, shared: SharedTexts): RecordValues[Kind];
  /** The same of a value that was read from JSON. Reading 5000 records back must be quick: nothing is copied but what is shared. */
  sharing(value: RecordValues[Kind], shared: SharedTexts): RecordValues[Kind];
};

/** What is held for one key. */
export type Held = {
  /** What counts. */
  readonly record: StateRecord;
  /** Bindings only: the latest record of every other Call-ID. See {@link mergeBinding}. */
  readonly others: readonly BindingRecord[];
};

const none: readonly BindingRecord[] = [];

export function isLaterVersion(record: StateRecord, present: StateRecord): boolean {
  return compareVersions(record.version, present.version) > 0;
}

/** A call that is over stays over: its key is never used again, so what arrives later was on its way before. */
export function mergeCall(held: Held, record: StateRecord): Held {
  const isOver = held.record.value === undefined;
  const isLater = isOver === (record.value === undefined) ? isLaterVersion(record, held.record) : !isOver;
  return isLater ? { record, others: none } : held;
}

/** Its texts are kept as they came. */
export function asItCame<Value>(value: Value): Value {
  return value;
}

/** It stays until somebody ends it. */
export function neverForgotten(): number {
  return Number.POSITIVE_INFINITY;
}

/** Every change is worth a row. */
export function needsRowOfItsVersion(onDisk: StateRecord, record: StateRecord): boolean {
  return record.version !== onDisk.version;
}
