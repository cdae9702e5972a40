import type { Fields } from "./fields.ts";
import type { BindingRecord, LiveRecord, StateRecord } from "./state-record.ts";
import type { RecordKind, RecordValues } from "./values.ts";
import { compareVersions } from "./version.ts";

/** What makes a kind of record: all that a replica needs to know to hold one. Its keys are in keys.ts, its value's fields in values.ts. */
export type KindDefinition<Kind extends RecordKind> = {
  /** Its value out of parsed JSON; undefined: it is malformed. Fields that do not belong to it are dropped. */
  read(json: Fields): RecordValues[Kind] | undefined;
  /**
   * Joins a record to what is held of its key; `held` itself when that changes nothing. A join of a lattice: commutative, associative,
   * idempotent. So two replicas that have seen the same records hold the same table.
   */
  merge(held: Held, record: StateRecord<Kind>): Held;
  /** Whether what is alive must replace the row of one that was. */
  needsRow(onDisk: LiveRecord<Kind>, record: LiveRecord<Kind>): boolean;
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

/** Every change is worth a row. */
export function needsRowOfItsVersion(onDisk: StateRecord, record: StateRecord): boolean {
  return record.version !== onDisk.version;
}
