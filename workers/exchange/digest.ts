import { createHash } from "node:crypto";
import type { RecordStore } from "../../sip/record/record-store.ts";
import { serializeRecord } from "../../sip/record/record-text.ts";
import { recordKinds } from "../../sip/record/values.ts";

/** What a replica holds, in a few octets: two replicas with the same records have the same digest, whatever the order in which they came. */
export type Digest = { readonly count: number; readonly hash: string };

/** Of all that is alive. Tombstones are left out: each replica forgets them when it has time for it. Goes through everything. */
export function digestOf(store: RecordStore): Digest {
  const texts = recordKinds.flatMap((kind) => Array.from(store.records(kind), serializeRecord));
  const hash = createHash("sha256");
  for (const text of texts.toSorted()) hash.update(`${text}\n`);
  return { count: texts.length, hash: hash.digest("hex") };
}
