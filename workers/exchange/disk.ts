import { isParseError } from "../../sip/errors.ts";
import { memoryOfText, type Memory } from "../../sip/record/memory.ts";
import type { Rows } from "../../sip/record/record-store.ts";
import { oneForEachKind, namedKinds, recordKinds } from "../../sip/record/record-kinds.ts";
import { unreadKey } from "../../sip/record/unread-record.ts";
import { parseRecord } from "../../sip/record/record-text.ts";
import { compareVersions } from "../../sip/record/version.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import type { RecordKind } from "../../sip/record/values.ts";
import { recordOctetsUsual } from "../../actors/limits.ts";
import { RecordLog } from "./record-log.ts";

/**
 * The disk behind an exchange's memory. Memory is the truth while the object is awake; this is read once, when it wakes. A log for each kind of
 * record: what calls leave is gone within minutes, and must not have registrations written again that stay for days. Tables are made when something is
 * written, for which room was asked: an object may start on a full disk.
 */
export class Disk {
  readonly #storage: DurableObjectStorage;
  readonly #logs: Readonly<Record<RecordKind, RecordLog>>;
  #memory: Memory | undefined;
  #isMemoryWritten = true;

  /** `textOf`: see {@link RecordLog}. */
  constructor(storage: DurableObjectStorage, textOf?: (record: StateRecord) => string) {
    this.#storage = storage;
    this.#logs = oneForEachKind((kind) => new RecordLog(storage.sql, kind, textOf));
  }

  /** How far the memory of this disk's replica goes back. Undefined: this is the first start with it. */
  readMemory(): Memory | undefined {
    if (!this.#has("memory")) return undefined;
    const [row] = this.#storage.sql.exec("select json from memory where id = 0").raw<[string]>();
    return row === undefined ? undefined : memoryOfText(row[0]);
  }

  /** Written with the next write, of whatever records: in the rule what else is on the disk says the same. */
  setMemory(memory: Memory): void {
    this.#memory = memory;
    this.#isMemoryWritten = false;
  }

  /** Everything there is, to be read to its end before anything is written. */
  *read(): IterableIterator<StateRecord> {
    const unread = [...this.#logs.unread.read()];
    const carried = new Map(unread.filter(({ kind }) => kind !== "unread").map((record) => [unreadKey(record.kind, record.key), record]));
    const adopted = new Map(carried);
    for (const kind of namedKinds) yield* this.#readLog(kind, carried, adopted);
    yield* unread;
    this.#adopt(carried, adopted);
    yield* this.#readRows();
  }

  /** Writes records in one transaction: in the rule a row for each kind that has any. */
  write({ put, remove }: Rows): void {
    if (put.length === 0 && remove.length === 0 && this.#isMemoryWritten) return;
    this.#storage.transactionSync(() => {
      this.#append({ put, remove });
      if (this.#isMemoryWritten) return;
      this.#storage.sql.exec("create table if not exists memory (id integer primary key, json text not null)");
      this.#storage.sql.exec("insert or replace into memory (id, json) values (0, ?)", JSON.stringify(this.#memory));
    });
    this.#isMemoryWritten = true;
  }

  /** What a write of so many records may write again so that its logs stay small. */
  cleaningOctets(records: number): number {
    let lines = 0;
    for (const kind of recordKinds) lines += this.#logs[kind].linesAgainMost(records);
    return lines * recordOctetsUsual;
  }

  #has(table: string): boolean {
    return this.#storage.sql.exec("select 1 from sqlite_master where name = ?", table).toArray().length > 0;
  }

  #append({ put, remove }: Rows): void {
    for (const kind of recordKinds) {
      const records = put.filter((record) => record.kind === kind);
      const keys = remove.filter((each) => each.kind === kind).map(({ key }) => key);
      if (records.length > 0 || keys.length > 0) this.#logs[kind].write(records, keys);
    }
  }

  /** Of what a release carried that did not know it, `adopted` keeps what is later than this log's. */
  *#readLog(kind: RecordKind, carried: ReadonlyMap<string, StateRecord>, adopted: Map<string, StateRecord>): IterableIterator<StateRecord> {
    for (const record of this.#logs[kind].read()) {
      if (carried.size > 0) {
        const key = unreadKey(kind, record.key);
        const other = carried.get(key);
        if (other !== undefined && compareVersions(other.version, record.version) <= 0) adopted.delete(key);
      }
      yield record;
    }
  }

  /** Moves what was carried to the logs of its kinds, but for what these have of the same or a later version. */
  #adopt(carried: ReadonlyMap<string, StateRecord>, adopted: ReadonlyMap<string, StateRecord>): void {
    if (carried.size === 0) return;
    const remove = Array.from(carried.keys(), (key) => ({ kind: "unread", key }) as const);
    this.#storage.transactionSync(() => this.#append({ put: [...adopted.values()], remove }));
  }

  /** Takes over what an exchange wrote when a record was a row: before 22 November 2026. */
  *#readRows(): IterableIterator<StateRecord> {
    const { sql } = this.#storage;
    if (!this.#has("records")) return;
    const records: StateRecord[] = [];
    for (const [json] of sql.exec("select json from records").raw<[string]>()) {
      const record = parseRecord(json);
      if (!isParseError(record)) records.push(record);
    }
    this.#storage.transactionSync(() => {
      this.#append({ put: records, remove: [] });
      sql.exec("drop table records");
    });
    yield* records;
  }
}
