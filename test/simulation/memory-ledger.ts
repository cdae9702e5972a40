import type { LedgerDisk } from "../../actors/ledger/ledger-actor.ts";
import { nobodyYet, type Owner } from "../../cluster/calls/collector.ts";

type CallList = readonly unknown[];

/** The database of a ledger: what outlives its process. */
export class MemoryLedger implements LedgerDisk {
  readonly name: string;
  last = 0;
  owner: Owner = nobodyYet;
  readonly #read = new Map<string, number>();
  readonly #rows = new Map<string, { readonly number: number; readonly record: CallList }>();

  constructor(name: string) {
    this.name = name;
  }

  /** By the keys of their records. */
  get rows(): ReadonlyMap<string, { readonly number: number; readonly record: CallList }> {
    return this.#rows;
  }

  get read(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#read);
  }

  keepOwner(owner: Owner): void {
    this.owner = owner;
  }

  keepRead(ledger: string, upTo: number): void {
    this.#read.set(ledger, upTo);
  }

  noteRead(ledger: string, upTo: number): void {
    this.keepRead(ledger, upTo);
  }

  put(records: readonly CallList[]): void {
    for (const record of records) {
      const key = String(record[1]);
      const held = this.#rows.get(key);
      if (held !== undefined && Number(held.record[5]) >= Number(record[5])) continue;
      this.last += 1;
      this.#rows.set(key, { number: this.last, record });
    }
  }

  after(number: number, max: number): { readonly records: readonly CallList[]; readonly upTo: number } {
    const rows = [...this.#rows.values()].filter((row) => row.number > number).toSorted((one, other) => one.number - other.number);
    const some = rows.slice(0, max);
    return { records: some.map(({ record }) => record), upTo: rows.length > max ? (some.at(-1)?.number ?? number) : this.last };
  }
}
