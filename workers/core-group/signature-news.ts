import { signatureAgeSecondsMax } from "../../cluster/limits.ts";
import type { RefusalCause } from "../refused-signature.ts";

/** Says once why a cell does not accept this one's signature, and once when it does again. */
export class SignatureNews {
  readonly #cell: string;
  /** What was said of each, by cell. */
  readonly #refusedBy = new Map<string, RefusalCause["type"]>();

  constructor(cell: string) {
    this.#cell = cell;
  }

  /** A cell that was only slow, and has another reason now, is said again. */
  refused(by: string, cause: RefusalCause): string | undefined {
    const said = this.#refusedBy.get(by);
    if (said !== undefined && (said !== "slow" || cause.type === "slow")) return undefined;
    this.#refusedBy.set(by, cause.type);
    if (cause.type === "slow") return `cell ${this.#cell}: cell ${by} took ${secondsOf(cause.tookMs)} s to read this: it is too busy`;
    return `cell ${this.#cell}: cell ${by} does not accept this cell's signature: ${reasonOf(by, cause)}`;
  }

  accepted(by: string): string | undefined {
    const said = this.#refusedBy.get(by);
    this.#refusedBy.delete(by);
    if (said === undefined) return undefined;
    return `cell ${this.#cell}: cell ${by} ${said === "slow" ? "reads in time" : "accepts this cell's signature"} again`;
  }
}

function reasonOf(by: string, cause: Exclude<RefusalCause, { readonly type: "slow" }>): string {
  if (cause.type === "secret") return "it has another secret, or another version of Tandem";
  const { aheadMs } = cause;
  return `the clock of cell ${by} is ${secondsOf(Math.abs(aheadMs))} s ${aheadMs > 0 ? "ahead of" : "behind"} this one's, ${signatureAgeSecondsMax} s are allowed: set the one that is wrong`;
}

function secondsOf(ms: number): number {
  return Math.round(ms / 1_000);
}
