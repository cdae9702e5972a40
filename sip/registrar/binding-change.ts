import type { BindingRecord } from "../record/state-record.ts";
import { makeTombstone } from "../record/tombstone.ts";
import type { Binding } from "../record/values.ts";
import type { Version } from "../record/version.ts";
import type { WallMs } from "../time.ts";

/** What happens to one binding. The caller makes a record of it and applies that. */
export type BindingChange =
  | { readonly type: "put"; readonly key: string; readonly value: Binding }
  | {
      readonly type: "remove";
      readonly key: string;
      /** Call-ID and CSeq that the removal counts as (RFC 3261 10.3). */
      readonly callId: string;
      readonly cSeq: number;
      /** Its connection was lost; the phone has not taken itself off. */
      readonly isLost?: true;
      /** With it: the flows that it had, the latest first. */
      readonly formerFlows?: readonly string[];
    };

/** The record of a change. `version`: from the replica's clock, one for each change. */
export function recordOfChange(change: BindingChange, version: Version, now: WallMs): BindingRecord {
  if (change.type === "put") return { kind: "binding", key: change.key, version, value: change.value };
  const { key, callId, cSeq, isLost, formerFlows } = change;
  const lost = isLost === undefined ? {} : { isLost, ...(formerFlows === undefined ? {} : { formerFlows }) };
  return makeTombstone("binding", key, version, now, { callId, cSeq, ...lost });
}
