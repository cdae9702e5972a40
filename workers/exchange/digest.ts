import { createHash } from "node:crypto";
import type { RecordStore } from "../../sip/record/record-store.ts";
import { fnv1a } from "../../sip/flow/token.ts";
import { recordKinds } from "../../sip/record/record-kinds.ts";
import { digestParts } from "../limits.ts";

/**
 * What a replica holds, in a few octets: two replicas with the same records have the same digest, whatever the order in which they came. `parts`: one
 * for each part of the keys. While phones register, something is always on its way from one replica to the other. But each part is the same in both
 * at some moment, unless something in it differs for good.
 */
export type Digest = { readonly count: number; readonly hash: string; readonly parts: readonly string[] };

/** Of all that is alive. Tombstones are left out: each replica forgets them when it has time for it. Goes through everything. */
export function digestOf(store: RecordStore): Digest {
  const parts = Array.from({ length: digestParts }, (): string[] => []);
  let count = 0;
  for (const kind of recordKinds) {
    for (const record of store.records(kind)) {
      parts[fnv1a(record.key) % digestParts]?.push(JSON.stringify(record, inOrder));
      count += 1;
    }
  }
  const hashes = parts.map((texts) => hashOf(texts.toSorted()).slice(0, 16));
  return { count, hash: hashOf(hashes), parts: hashes };
}

/** One and the same record may have its fields in another order where it was made and where it was read. */
function inOrder(_name: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([first], [second]) => (first < second ? -1 : 1)));
}

function hashOf(lines: readonly string[]): string {
  const hash = createHash("sha256");
  for (const line of lines) hash.update(`${line}\n`);
  return hash.digest("hex");
}
