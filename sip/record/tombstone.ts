import { kinds } from "./record-kinds.ts";
import type { Tombstone } from "./state-record.ts";
import type { RecordKind } from "./values.ts";
import type { Version } from "./version.ts";
import type { WallMs } from "../time.ts";

/** The removal of a record. `order`: for bindings, Call-ID and CSeq that the removal counts as. */
export function makeTombstone<Kind extends RecordKind>(
  kind: Kind,
  key: string,
  version: Version,
  now: WallMs,
  order: Pick<Tombstone, "callId" | "cSeq" | "isLost" | "formerFlows"> = { callId: "", cSeq: 0 },
): Tombstone<Kind> {
  return { kind, key, version, value: undefined, until: now + kinds[kind].tombstoneMs, ...order };
}
