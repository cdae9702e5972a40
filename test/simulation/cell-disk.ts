import type { Memory } from "../../sip/record/memory.ts";

/** What of a cell outlives its process: rows that were flushed, and a few words. */
export class CellDisk {
  readonly #rows = new Map<number, Map<string, string>>();
  readonly #boots = new Map<string, string>();
  /** How far the memory of each exchange's replica goes back. */
  readonly memories = new Map<number, Memory>();
  epoch = 0;

  /** The rows of one exchange, by kind and key. */
  rowsOf(exchange: number): Map<string, string> {
    let rows = this.#rows.get(exchange);
    if (rows === undefined) {
      rows = new Map();
      this.#rows.set(exchange, rows);
    }
    return rows;
  }

  /** Notes the boot of an access at an exchange. True: it has started anew since the last time. */
  isNewBoot(exchange: number, access: string, boot: string): boolean {
    const key = `${exchange} ${access}`;
    if (this.#boots.get(key) === boot) return false;
    this.#boots.set(key, boot);
    return true;
  }
}
