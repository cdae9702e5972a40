import type { FrameRecord } from "../../cluster/backhaul/frame.ts";

/** Collects what one event sends, so that each access gets it as one frame: cost is per frame. */
export class Outbox {
  readonly #records = new Map<string, FrameRecord[]>();

  get isEmpty(): boolean {
    return this.#records.size === 0;
  }

  add(access: string, record: FrameRecord): void {
    const records = this.#records.get(access);
    if (records === undefined) this.#records.set(access, [record]);
    else records.push(record);
  }

  /** Puts all of another one behind what is here. */
  addAll(other: Outbox): void {
    for (const [access, records] of other.entries()) for (const record of records) this.add(access, record);
  }

  /** Removes and returns what is for one access. */
  take(access: string | undefined): FrameRecord[] {
    if (access === undefined) return [];
    const records = this.#records.get(access) ?? [];
    this.#records.delete(access);
    return records;
  }

  entries(): IterableIterator<[access: string, records: FrameRecord[]]> {
    return this.#records.entries();
  }
}
