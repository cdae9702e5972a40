import { keptTextsMax } from "../limits.ts";
import type { ChangeFeed } from "./change-feed.ts";
import type { Entry } from "./entry.ts";
import type { Rows } from "./record-store.ts";
import type { RowPolicy } from "./row-policy.ts";
import { kinds } from "./record-kinds.ts";
import { isTombstone, rowId, type StateRecord } from "./state-record.ts";
import type { RecordKind } from "./values.ts";

/** What the disk must be told of a table: which keys have changed, and what becomes of their rows. */
export class DirtyRows {
  readonly #feed: ChangeFeed;
  readonly #needsRow: RowPolicy;
  /** Changed since the last {@link take}, in the order of the first change. What was forgotten meanwhile is here still, and dirty no more. */
  #dirty: Entry[] = [];
  /** Rows of keys that the table has forgotten, by {@link rowId}. */
  readonly #orphans = new Map<string, StateRecord>();
  #isPeerAway = false;
  /** Kinds that have rows for the time being, whatever their definitions say. */
  readonly #kept = new Set<RecordKind>();
  /** Ends of calls that are to have rows although nothing else says so: see `RecordStore.setPeerAway`. */
  readonly #ends = new Set<Entry>();

  constructor(feed: ChangeFeed, policy: RowPolicy) {
    this.#feed = feed;
    this.#needsRow = policy;
  }

  get isPeerAway(): boolean {
    return this.#isPeerAway;
  }

  /** `ends`: while the peer is away, those that are to have rows. */
  setPeerAway(isAway: boolean, ends: Iterable<Entry>): void {
    this.#isPeerAway = isAway;
    this.#ends.clear();
    for (const entry of ends) {
      this.#ends.add(entry);
      this.soil(entry);
    }
  }

  isKept(kind: RecordKind): boolean {
    return this.#kept.has(kind);
  }

  keepRows(kind: RecordKind, isKept: boolean): void {
    if (isKept) this.#kept.add(kind);
    else this.#kept.delete(kind);
  }

  get hasAny(): boolean {
    return this.#orphans.size > 0 || this.#dirty.some(({ isDirty }) => isDirty);
  }

  /** How many rows {@link take} may put or delete, at most. */
  get most(): number {
    return this.#orphans.size + this.#dirty.length;
  }

  /** Whether a record's text is worth keeping until the disk asks for it. */
  keepsTextOf(entry: Entry): boolean {
    return entry.isDirty && this.#dirty.length <= keptTextsMax;
  }

  /** See `RecordStore.takeDirty`. */
  take(max: number): Rows {
    const put: StateRecord[] = [];
    const remove: { kind: RecordKind; key: string }[] = [];
    for (const [id, { kind, key }] of this.#orphans) {
      if (remove.length >= max) break;
      remove.push({ kind, key });
      this.#orphans.delete(id);
    }
    let taken = 0;
    for (const entry of this.#dirty) {
      if (put.length + remove.length >= max) break;
      taken += 1;
      if (!entry.isDirty) continue;
      entry.isDirty = false;
      const { record } = entry;
      const next = this.#rowOf(entry);
      if (next === "put") {
        put.push(record);
        entry.onDisk = record;
        continue;
      }
      entry.text = "";
      if (next === "keep" || entry.onDisk === undefined) continue;
      remove.push({ kind: record.kind, key: record.key });
      entry.onDisk = undefined;
    }
    this.#dirty = this.#dirty.slice(taken);
    return { put, remove };
  }

  soil(entry: Entry): void {
    if (entry.isDirty) return;
    entry.isDirty = true;
    this.#dirty.push(entry);
  }

  /** The table has read this row of a key. */
  noteRow(entry: Entry, row: StateRecord): void {
    entry.onDisk = row;
    entry.first = 0;
    this.soil(entry);
  }

  /** The table has forgotten this key. */
  forget(entry: Entry): void {
    entry.isDirty = false;
    this.#ends.delete(entry);
    if (entry.onDisk !== undefined) this.#orphans.set(rowId(entry.record), entry.onDisk);
  }

  /** The row that a key still has on the disk from when it was known before. */
  takeOrphan(record: StateRecord): StateRecord | undefined {
    if (this.#orphans.size === 0) return undefined;
    const id = rowId(record);
    const row = this.#orphans.get(id);
    this.#orphans.delete(id);
    return row;
  }

  /** What is to become of a key's row. */
  #rowOf(entry: Entry): "put" | "keep" | "remove" {
    const { record, onDisk } = entry;
    if (!isTombstone(record)) {
      if (!this.#isPeerAway && !kinds[record.kind].hasRowsWithPeer && !this.#kept.has(record.kind)) return "keep";
      return this.#needsRow(onDisk, record) ? "put" : "keep";
    }
    // Another disk may have it alive still: of the peer, or of a cell that had this replica before. See docs/decisions/0052.
    if (!kinds[record.kind].isOfCall) return onDisk?.version === record.version ? "keep" : "put";
    if (!this.#ends.delete(entry) && !this.#feed.isMissedEnd(entry)) return "remove";
    return onDisk === undefined && !this.#isPeerAway ? "keep" : "put";
  }
}
