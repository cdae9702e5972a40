import type { Held } from "./kind-definition.ts";
import { kinds } from "./record-kinds.ts";
import type { StateRecord } from "./state-record.ts";

/** What a table holds for a key after one more record, as its kind says. Returns `held` itself when that changes nothing. */
export function merge(held: Held | undefined, record: StateRecord): Held {
  return held === undefined ? { record, others: none } : kinds[record.kind].merge(held, record);
}

const none: readonly never[] = [];
