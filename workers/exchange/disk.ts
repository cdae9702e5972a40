import { isParseError } from "../../sip/errors.ts";
import type { Rows } from "../../sip/record/record-store.ts";
import { parseRecord, serializeRecord } from "../../sip/record/record-text.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";

/**
 * The disk behind an exchange's memory: one row for each record. Memory is the truth while the object is awake; this is read once, when
 * it wakes.
 */
export class Disk {
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    storage.sql.exec(
      "create table if not exists records (kind text not null, key text not null, json text not null, primary key (kind, key)) without rowid",
    );
  }

  /** Everything there is. A row that cannot be read is said and left out: the others must not be lost with it. */
  *read(): IterableIterator<StateRecord> {
    for (const [json] of this.#storage.sql.exec("select json from records").raw<[string]>()) {
      const record = parseRecord(json);
      if (isParseError(record)) console.error(`a row of the disk is unreadable: ${record.reason}`);
      else yield record;
    }
  }

  /** Writes rows in one transaction. */
  write({ put, remove }: Rows): void {
    if (put.length === 0 && remove.length === 0) return;
    const { sql } = this.#storage;
    this.#storage.transactionSync(() => {
      for (const record of put) {
        sql.exec("insert or replace into records (kind, key, json) values (?, ?, ?)", record.kind, record.key, serializeRecord(record));
      }
      for (const { kind, key } of remove) sql.exec("delete from records where kind = ? and key = ?", kind, key);
    });
  }
}
