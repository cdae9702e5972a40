import { formerFlowsMax } from "../limits.ts";
import type { BindingRecord } from "../record/state-record.ts";

/** What a binding says of its phone's flows, or the tombstone of one that has lost its flow. */
type Formerly = { readonly flow?: string; readonly formerFlows?: readonly string[] };

/**
 * The flows that a phone had before `flow`, the latest first; undefined: none. A token may name one that has died with both replicas, and only by that
 * its phone is found again (docs/decisions/0012-a-token-is-for-its-dialog.md). `known`: its bindings, the latest first.
 */
export function formerFlowsOf(flow: string, known: readonly Formerly[]): readonly string[] | undefined {
  const former = new Set(known.flatMap((each) => [each.flow ?? "", ...(each.formerFlows ?? [])]));
  former.delete("");
  former.delete(flow);
  return former.size === 0 ? undefined : [...former].slice(0, formerFlowsMax);
}

/** The same of records. Mostly a phone is where it was, and has never been anywhere else: that costs nothing. */
export function formerFlowsOfRecords(flow: string, records: readonly BindingRecord[]): readonly string[] | undefined {
  if (records.every((each) => (each.value ?? each).formerFlows === undefined && (each.value?.flow ?? flow) === flow)) return undefined;
  return formerFlowsOf(
    flow,
    records.map((each) => each.value ?? { formerFlows: each.formerFlows ?? [] }),
  );
}
