import { signatureAgeSecondsMax } from "../../cluster/limits.ts";

/** Says once why a cell does not accept this one's signature, and once when it does again. */
export class SignatureNews {
  readonly #cell: string;
  readonly #refusedBy = new Set<string>();

  constructor(cell: string) {
    this.#cell = cell;
  }

  /** `aheadMs`: how far the other's clock is ahead of ours; undefined: it did not say. */
  refused(by: string, aheadMs: number | undefined): string | undefined {
    if (this.#refusedBy.has(by)) return undefined;
    this.#refusedBy.add(by);
    return `cell ${this.#cell}: cell ${by} does not accept this cell's signature: ${reasonOf(by, aheadMs)}`;
  }

  accepted(by: string): string | undefined {
    return this.#refusedBy.delete(by) ? `cell ${this.#cell}: cell ${by} accepts this cell's signature again` : undefined;
  }
}

function reasonOf(by: string, aheadMs: number | undefined): string {
  const seconds = Math.round(Math.abs(aheadMs ?? 0) / 1_000);
  if (aheadMs === undefined || seconds <= signatureAgeSecondsMax) return "it has another secret, or another version of Tandem";
  return `the clock of cell ${by} is ${seconds} s ${aheadMs > 0 ? "ahead of" : "behind"} this one's, ${signatureAgeSecondsMax} s are allowed: set the one that is wrong`;
}
