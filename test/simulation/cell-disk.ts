import type { DiskPort } from "../../actors/exchange/ports.ts";
import { isParseError } from "../../sip/errors.ts";
import type { Memory } from "../../sip/record/memory.ts";
import { parseRecord, serializeRecord } from "../../sip/record/record-text.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";

/** What of a cell outlives its process: rows that were flushed, and a few words. */
export class CellDisk {
  readonly #rows = new Map<number, Map<string, string>>();
  readonly #boots = new Map<string, string>();
  /** How far the memory of each exchange's replica goes back. */
  readonly #memories = new Map<number, Memory>();
  epoch = 0;

  /** The disk of one exchange's replica: rows by kind and key. */
  ofExchange(exchange: number): DiskPort {
    const rows = this.#rows.get(exchange) ?? new Map<string, string>();
    this.#rows.set(exchange, rows);
    return {
      readMemory: () => this.#memories.get(exchange),
      setMemory: (memory) => this.#memories.set(exchange, memory),
      read: () => Array.from(rows.values(), recordOf),
      write: ({ put, remove }) => {
        for (const record of put) rows.set(`${record.kind} ${record.key}`, serializeRecord(record));
        for (const { kind, key } of remove) rows.delete(`${kind} ${key}`);
      },
      cleaningOctets: 0,
    };
  }

  bootOf(exchange: number, access: string): string | undefined {
    return this.#boots.get(`${exchange} ${access}`);
  }

  keepBoot(exchange: number, access: string, boot: string): void {
    this.#boots.set(`${exchange} ${access}`, boot);
  }
}

function recordOf(text: string): StateRecord {
  const record = parseRecord(text);
  if (isParseError(record)) throw new Error(`unreadable row: ${record.reason}`);
  return record;
}
