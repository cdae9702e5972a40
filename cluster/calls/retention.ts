import { callRecordDaysDefault, callRecordsMostDefault } from "../limits.ts";
import type { ClusterMap } from "../map/cluster-map.ts";

export type Retention = { readonly days: number; readonly most: number };

/** How long call records are kept, and how many. */
export function callRecordsOf({ callRecords }: Pick<ClusterMap, "callRecords">): Retention {
  return callRecords ?? { days: callRecordDaysDefault, most: callRecordsMostDefault };
}
