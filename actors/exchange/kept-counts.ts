import { RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { keptRecord } from "../../cluster/backhaul/kept.ts";

type Count = { taken: number; kept: number };

/**
 * How much of what each line of this cell has said would survive the end of this process. A line has its answers at once; it keeps what it said until it is told
 * this (docs/decisions/0031-a-gateway-is-a-second-memory.md).
 */
export class KeptCounts {
  readonly #boot: string;
  readonly #lines = new Map<string, Count>();

  constructor(boot: string) {
    this.#boot = boot;
  }

  /** A line has said this. The function is to be called when all that came of it is kept. */
  take(access: string, records: readonly FrameRecord[]): () => void {
    const isNew = records[0]?.kind === RecordKind.hello;
    let count = isNew ? undefined : this.#lines.get(access);
    if (count === undefined) this.#lines.set(access, (count = { taken: 0, kept: 0 }));
    const line = count;
    line.taken += isNew ? records.length - 1 : records.length;
    const { taken } = line;
    return () => {
      line.kept = Math.max(line.kept, taken);
    };
  }

  /** What the line is told. */
  recordFor(access: string): FrameRecord {
    return keptRecord({ boot: this.#boot, count: this.#lines.get(access)?.kept ?? 0 });
  }
}
