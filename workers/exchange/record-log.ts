import { isParseError } from "../../sip/errors.ts";
import { parseAnyRecord, serializeRecord } from "../../sip/record/record-text.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import type { RecordKind } from "../../sip/record/values.ts";
import { logCleanedMax, logDeadRowsMax, logRowOctets, logSlack } from "../limits.ts";

/**
 * The form of what a row holds. Rows say theirs from 2 on. Raise it with every change after which the release before would misread a row; a field
 * that it would only leave out is none.
 *
 * - 1: until 29 November 2026: lines in pairs, a key and its record as JSON (sip/record/record-text.ts).
 * - 2: the same, said.
 * - 3: a record is a list of JSON, no object.
 */
const rowFormat = 3;

const formatColumn = "format integer not null default 1";

/** One row: what was written in one go. */
type Batch = {
  readonly number: number;
  /** Keys whose present line is in it. */
  live: number;
  /** All its lines, and those that take the place of one further back: as long as anything is further back they must stay. */
  lines: number;
  covers: number;
};

type Line = {
  /** As the record has it. */
  readonly key: string;
  /** Empty: the key is gone. */
  readonly text: string;
  readonly isCover: boolean;
};

/**
 * The records of one kind on an object's disk, written in batches of one row each. What Cloudflare bills, and what costs time, is the row. A row is
 * lines, in pairs: a key and its record, or a key and nothing when it is gone. Later batches win over earlier ones. A batch of which nothing counts
 * any more gives its row to the next one, or is deleted. When more than half of all lines are of no use, what counts in the oldest batches is written
 * again. Rows of a format to come are left alone: the release that wrote them will read them again.
 */
export class RecordLog {
  readonly #sql: SqlStorage;
  readonly #kind: RecordKind;
  readonly #table: string;
  readonly #textOf: (record: StateRecord) => string;
  /** There is a table. */
  #isMade: boolean;
  /** Oldest first. */
  readonly #batches = new Map<number, Batch>();
  /** Where the present line of a key is. */
  readonly #places = new Map<string, Batch>();
  #lines = 0;
  #last = 0;
  /**
   * Batches of which nothing counts, whose rows wait for a batch to take them. Cloudflare bills one row for that, two for deleting one and adding
   * one. In the order in which they may go: one with covers has all that are older before it.
   */
  readonly #dead = new Set<Batch>();
  /** Rows that the present write has given up, and that must not outlast it. */
  readonly #free: number[] = [];

  /** `textOf`: where a record's text is known already. */
  constructor(sql: SqlStorage, kind: RecordKind, textOf: (record: StateRecord) => string = serializeRecord) {
    this.#sql = sql;
    this.#kind = kind;
    this.#textOf = textOf;
    this.#table = `${kind}_log`;
    const columns = sql.exec<{ name: string }>("select name from pragma_table_info(?)", this.#table).toArray();
    this.#isMade = columns.length > 0;
    // A table from before rows said it.
    if (this.#isMade && columns.every(({ name }) => name !== "format")) sql.exec(`alter table ${this.#table} add column ${formatColumn}`);
  }

  /** All records that are there; one that cannot be read is said and left out. To be called once, before anything is written, and to its end. */
  *read(): IterableIterator<StateRecord> {
    const gone = new Set<string>();
    const batches: Batch[] = [];
    const later: number[] = [];
    if (!this.#isMade) return;
    const rows = this.#sql.exec(`select number, text, format from ${this.#table} order by number desc`).raw<[number, string, number]>();
    for (const [number, row, format] of rows) {
      this.#last = Math.max(this.#last, number);
      if (format > rowFormat) {
        later.push(format);
        continue;
      }
      const batch: Batch = { number, live: 0, lines: 0, covers: 0 };
      batches.push(batch);
      for (const [key, text] of linesOf(row)) {
        batch.lines += 1;
        if (gone.has(key) || this.#places.has(key)) continue;
        const record = text === "" ? undefined : parseAnyRecord(text);
        if (record === undefined || isParseError(record)) {
          gone.add(key);
          if (record !== undefined) console.error(`a record of the disk is unreadable: ${record.reason}`);
          continue;
        }
        // Its own key, not the one of the line: that would hold on to the whole row's text. When its kind has a log of its own by now, the key of the
        // line counts.
        this.#places.set(record.kind === this.#kind ? record.key : key, batch);
        batch.live += 1;
        yield record;
      }
      // Nobody remembers which of its lines are covers: any may be.
      batch.covers = batch.lines;
      this.#lines += batch.lines;
    }
    for (const batch of batches.toReversed()) this.#batches.set(batch.number, batch);
    if (later.length > 0) console.error(laterRowsText(this.#table, later));
  }

  /** Keeps records and forgets keys, each key at most once. To be called in a transaction. */
  write(put: readonly StateRecord[], remove: readonly string[]): void {
    if (!this.#isMade) this.#make();
    const lines: Line[] = [];
    const left: Batch[] = [];
    const ended: { readonly key: string; readonly batch: Batch }[] = [];
    for (const record of put) {
      const batch = this.#leave(record.key, left);
      lines.push({ key: record.key, text: this.#textOf(record), isCover: batch !== undefined });
    }
    for (const key of remove) {
      const batch = this.#leave(key, left);
      if (batch !== undefined) ended.push({ key, batch });
      this.#places.delete(key);
    }
    this.#giveUpDead(left, new Set(ended.map(({ batch }) => batch)));
    this.#clean(lines, new Set(put.map(({ key }) => key)));
    // A key is gone with its batch.
    for (const { key, batch } of ended) if (this.#batches.has(batch.number)) lines.push({ key, text: "", isCover: true });
    this.#append(lines);
    for (const number of this.#free.splice(0)) this.#sql.exec(`delete from ${this.#table} where number = ?`, number);
  }

  /** Whether there is a record of this key. */
  has(key: string): boolean {
    return this.#places.has(key);
  }

  /** How many lines of the oldest batches a write of so many records may write again at most: none while enough of all lines is of use. */
  linesAgainMost(records: number): number {
    const inUse = this.#places.size;
    // Every record of the write may be one that ends.
    const linesMax = 2 * Math.max(0, inUse - records) + logSlack;
    return this.#lines > linesMax ? Math.min(inUse, logCleanedMax) : 0;
  }

  /** What a batch has of a key counts no more. */
  #leave(key: string, left: Batch[]): Batch | undefined {
    const batch = this.#places.get(key);
    if (batch === undefined) return undefined;
    batch.live -= 1;
    left.push(batch);
    return batch;
  }

  #append(lines: readonly Line[]): void {
    let start = 0;
    let octets = 0;
    for (const [index, { key, text }] of lines.entries()) {
      octets += key.length + text.length + 2;
      if (octets < logRowOctets && index + 1 < lines.length) continue;
      this.#last += 1;
      const batch: Batch = { number: this.#last, live: 0, lines: 0, covers: 0 };
      let row = "";
      for (const line of lines.slice(start, index + 1)) {
        row += `${escaped(line.key)}\n${line.text}\n`;
        batch.lines += 1;
        if (line.isCover) batch.covers += 1;
        if (line.text === "") continue;
        batch.live += 1;
        this.#places.set(line.key, batch);
      }
      this.#writeRow(batch.number, row);
      this.#batches.set(batch.number, batch);
      this.#lines += batch.lines;
      start = index + 1;
      octets = 0;
    }
  }

  /** Makes the table with what is written first: for that there is room. */
  #make(): void {
    this.#sql.exec(`create table if not exists ${this.#table} (number integer primary key, text text not null, ${formatColumn})`);
    this.#isMade = true;
  }

  #writeRow(number: number, row: string): void {
    const free = this.#freeRow();
    if (free === undefined) this.#sql.exec(`insert into ${this.#table} (number, text, format) values (?, ?, ?)`, number, row, rowFormat);
    else this.#sql.exec(`update ${this.#table} set number = ?, text = ?, format = ? where number = ?`, number, row, rowFormat, free);
  }

  /** A row that the next batch may take. */
  #freeRow(): number | undefined {
    if (this.#free.length === 0) {
      const [oldest] = this.#dead;
      if (oldest !== undefined) this.#giveUp(oldest);
    }
    return this.#free.pop();
  }

  /**
   * Batches of which nothing counts wait for others to take their rows: those of `left`, and the oldest ones, covers and all. A batch whose last key
   * has ended does not wait: a key is gone with its row, or needs a line that says so.
   */
  #giveUpDead(left: readonly Batch[], endings: ReadonlySet<Batch>): void {
    for (const batch of left) {
      if (batch.live > 0 || batch.covers > 0) continue;
      if (endings.has(batch)) this.#giveUp(batch);
      else this.#dead.add(batch);
    }
    for (const batch of this.#batches.values()) {
      if (batch.live > 0) break;
      this.#dead.add(batch);
    }
    const max = this.#places.size === 0 ? 0 : logDeadRowsMax;
    for (const batch of this.#dead) {
      if (this.#dead.size <= max) break;
      this.#giveUp(batch);
    }
  }

  #giveUp(batch: Batch): void {
    if (!this.#batches.delete(batch.number)) return;
    this.#dead.delete(batch);
    this.#lines -= batch.lines;
    this.#free.push(batch.number);
  }

  /** Takes the oldest batches away as long as too much in the log is of no use. What counts in them joins `lines`, but for keys that are `written`. */
  #clean(lines: Line[], written: ReadonlySet<string>): void {
    const max = lines.length + logCleanedMax;
    for (const batch of this.#batches.values()) {
      if (this.#lines <= 2 * this.#places.size + logSlack || lines.length > max) break;
      const [row = [""]] =
        batch.live === 0 ? [] : this.#sql.exec(`select text from ${this.#table} where number = ?`, batch.number).raw<[string]>();
      for (const [key, text] of linesOf(row[0])) {
        if (text !== "" && this.#places.get(key) === batch && !written.has(key)) lines.push({ key, text, isCover: false });
      }
      this.#giveUp(batch);
    }
  }
}

function laterRowsText(table: string, formats: readonly number[]): string {
  const rows = formats.length === 1 ? "1 row is" : `${formats.length} rows are`;
  return `${table}: ${rows} of format ${Math.max(...formats)}, this release reads ${rowFormat}: left as they are; start the later release`;
}

function* linesOf(row: string): IterableIterator<readonly [key: string, text: string]> {
  for (let start = 0; start < row.length;) {
    const middle = row.indexOf("\n", start);
    const end = row.indexOf("\n", middle + 1);
    if (middle < 0 || end < 0) return;
    yield [unescaped(row.slice(start, middle)), row.slice(middle + 1, end)];
    start = end + 1;
  }
}

/** Keys have what strangers wrote in them; JSON has no newlines. */
function escaped(key: string): string {
  return key.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function unescaped(text: string): string {
  return text.includes("\\") ? text.replaceAll(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character)) : text;
}
