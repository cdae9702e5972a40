import type { LedgerDisk } from "../../actors/ledger/ledger-actor.ts";
import { nobodyYet, type Owner } from "../../cluster/calls/collector.ts";
import type { Retention } from "../../cluster/calls/retention.ts";
import { callIdOf } from "../call-id.ts";
import { checkDiskFormat } from "../disk-format.ts";
import type { CallQuery, PlaceInList } from "./question.ts";

type CallList = readonly unknown[];

const dayMs = 86_400_000;
/** Half of what the records of a busy minute are: those that are over the limit go together. */
const surplusMax = 1_000;
/** Behind every call. */
const atTheEnd: PlaceInList = { start: Number.MAX_SAFE_INTEGER, id: "" };

/** Whether a ledger has its tables. The question does not make them. */
export function hasCallTable({ sql }: DurableObjectStorage): boolean {
  return sql.exec("select 1 from sqlite_master where type = 'table' and name = 'calls'").toArray().length > 0;
}

/**
 * The records of one ledger in SQLite. A row has the record as its text, and beside it only what rows are found by. An index costs a written row for
 * each call, and one for time is enough. Whoever looks for a user reads what is kept: some 100 000 rows, in tenths of a second.
 */
export class CallTable implements LedgerDisk {
  readonly #storage: DurableObjectStorage;
  readonly #retention: () => Retention;
  readonly #now: () => number;
  readonly name: string;
  #last: number;
  /** At least as many as there are. */
  #count: number;
  #owner: Owner;
  readonly #read: Map<string, number>;
  /** The last write has failed. */
  #hasFailed = false;
  /** Ledgers of which the disk is to know how far they have been read, with what is put next. */
  readonly #noted = new Set<string>();

  /** Throws when a later release has written it. */
  constructor(storage: DurableObjectStorage, retention: () => Retention, now: () => number) {
    checkDiskFormat(storage, "the ledger");
    this.#storage = storage;
    this.#retention = retention;
    this.#now = now;
    const { sql } = storage;
    sql.exec(
      "create table if not exists calls (number integer primary key autoincrement, id text not null unique, rank integer not null, " +
        "start integer not null, caller text not null, callee text not null, status integer not null, record text not null)",
    );
    sql.exec("create index if not exists calls_by_start on calls (start)");
    sql.exec("create table if not exists ledgers (name text primary key, up_to integer not null) without rowid");
    this.name = storage.kv.get<string>("name") ?? this.#newName();
    this.#owner = storage.kv.get<Owner>("owner") ?? nobodyYet;
    const rows = sql.exec<{ name: string; up_to: number }>("select name, up_to from ledgers").toArray();
    this.#read = new Map(rows.map(({ name, up_to: upTo }) => [name, upTo]));
    this.#last = sql.exec<{ last: number }>("select coalesce(max(number), 0) as last from calls").one().last;
    this.#count = sql.exec<{ count: number }>("select count(*) as count from calls").one().count;
  }

  get last(): number {
    return this.#last;
  }

  get count(): number {
    return this.#count;
  }

  get owner(): Owner {
    return this.#owner;
  }

  keepOwner(owner: Owner): void {
    this.#owner = owner;
    this.#storage.kv.put("owner", owner);
  }

  get read(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#read);
  }

  keepRead(ledger: string, upTo: number): void {
    this.#read.set(ledger, upTo);
    this.#noted.delete(ledger);
    this.#storage.sql.exec("insert or replace into ledgers (name, up_to) values (?, ?)", ledger, upTo);
  }

  noteRead(ledger: string, upTo: number): void {
    this.#read.set(ledger, upTo);
    this.#noted.add(ledger);
  }

  /** Whether the table can be read, and written where the last write has failed. */
  isWell(): boolean {
    try {
      this.#storage.sql.exec("select number from calls limit 1").toArray();
      if (this.#hasFailed) this.keepOwner(this.#owner);
      this.#hasFailed = false;
      return true;
    } catch {
      return false;
    }
  }

  put(records: readonly CallList[]): void {
    this.#hasFailed = true;
    this.#put(records);
    this.#hasFailed = false;
  }

  #put(records: readonly CallList[]): void {
    const rows = records.map((record) => [
      callIdOf(String(record[1])),
      record[5],
      record[9],
      record[6],
      record[7],
      record[12],
      JSON.stringify(record),
    ]);
    if (rows.length === 0) return;
    this.#storage.transactionSync(() => {
      // One that says more of its call takes the place of what was known of it, under a new number.
      const numbers = this.#storage.sql
        .exec<{ number: number }>(
          "insert or replace into calls (id, rank, start, caller, callee, status, record) " +
            "select value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 from json_each(?) as news " +
            "where not exists (select 1 from calls where calls.id = news.value->>0 and calls.rank >= news.value->>1) returning number",
          JSON.stringify(rows),
        )
        .toArray();
      for (const { number } of numbers) this.#last = Math.max(this.#last, number);
      this.#count += numbers.length;
      for (const ledger of this.#noted) this.keepRead(ledger, this.#read.get(ledger) ?? 0);
      if (this.#count > this.#retention().most + surplusMax) this.#forgetOver();
    });
  }

  after(number: number, max: number): { readonly records: readonly CallList[]; readonly upTo: number } {
    const rows = this.#storage.sql
      .exec<{ number: number; record: string }>("select number, record from calls where number > ? order by number limit ?", number, max)
      .toArray();
    const records = rows.map(({ record }) => JSON.parse(record) as CallList);
    return { records, upTo: rows.length < max ? this.#last : (rows.at(-1)?.number ?? number) };
  }

  /** The latest that match, the earliest of these first, each as its text. */
  find({ id, addressOfRecord, since, before = atTheEnd, isFailed = false, most }: CallQuery): string[] {
    if (id !== undefined) return this.#findOne(id);
    const from = Math.max(since ?? 0, this.#oldest());
    const whose = addressOfRecord ?? "";
    return this.#storage.sql
      .exec<{ record: string }>(
        // Another ledger may have had the page before, and know a call that is not here: then all of its millisecond follow.
        "select record from calls where start >= ?1 and start <= ?5 " +
          "and (start < ?5 or number < coalesce((select number from calls where id = ?6), 1 << 62)) " +
          "and (?2 = '' or caller = ?2 or callee = ?2) and (?3 = 0 or status >= 300) order by start desc, number desc limit ?4",
        from,
        whose,
        isFailed ? 1 : 0,
        Math.min(most, this.#retention().most),
        before.start,
        before.id,
      )
      .toArray()
      .map(({ record }) => record)
      .toReversed();
  }

  #findOne(id: string): string[] {
    const rows = this.#storage.sql.exec<{ record: string }>("select record from calls where id = ? and start >= ?", id, this.#oldest());
    return rows.toArray().map(({ record }) => record);
  }

  /** Those that are older than they may be, and too many, are forgotten: the oldest. */
  forgetOld(): void {
    this.#storage.transactionSync(() => {
      this.#storage.sql.exec("delete from calls where start < ?", this.#oldest());
      this.#forgetOver();
    });
  }

  #forgetOver(): void {
    this.#count = this.#storage.sql.exec<{ count: number }>("select count(*) as count from calls").one().count;
    const surplus = this.#count - this.#retention().most;
    if (surplus <= 0) return;
    this.#storage.sql.exec("delete from calls where number in (select number from calls order by start, number limit ?)", surplus);
    this.#count -= surplus;
  }

  #oldest(): number {
    return this.#now() - this.#retention().days * dayMs;
  }

  #newName(): string {
    const name = crypto.randomUUID();
    this.#storage.kv.put("name", name);
    return name;
  }
}
