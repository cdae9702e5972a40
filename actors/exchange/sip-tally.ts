import { isKnownMethod } from "../../sip/message/methods.ts";
import { reasonPhrases } from "../../sip/message/reason-phrases.ts";

/** So many requests of a method, or responses to one: `status` 0 is for requests. */
export type SipCount = { readonly method: string; readonly status: number; readonly count: number };

/** What stands for methods that no RFC knows, and for status codes that have no phrase here: anybody may invent them. */
const otherMethod = "other";
const otherStatus = 999;

/** Counts requests that came and responses that left since the exchange started, by method and status. */
export class SipTally {
  readonly #byMethod = new Map<string, Map<number, number>>();

  /** A request came that can be read: repeats too. */
  requested(method: string): void {
    this.#count(method, 0);
  }

  /** It was answered, each response once. */
  responded(method: string, status: number): void {
    this.#count(method, reasonPhrases[status] === undefined ? otherStatus : status);
  }

  counts(): SipCount[] {
    return [...this.#byMethod].flatMap(([method, counts]) => Array.from(counts, ([status, count]) => ({ method, status, count })));
  }

  #count(method: string, status: number): void {
    const counts = this.#byMethod.get(method) ?? this.#countsOf(isKnownMethod(method) ? method : otherMethod);
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }

  #countsOf(name: string): Map<number, number> {
    const known = this.#byMethod.get(name);
    if (known !== undefined) return known;
    const counts = new Map<number, number>();
    this.#byMethod.set(name, counts);
    return counts;
  }
}
