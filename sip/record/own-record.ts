import { detached, type SharedTexts } from "./own-texts.ts";
import { kinds } from "./record-kinds.ts";
import type { LiveRecord, StateRecord } from "./state-record.ts";

/**
 * The record as a table keeps it, with texts of its own. `earlier`: the record of the same key until now, whose equal texts are used again.
 * `isCut`: its texts may be cut out of a message; those of JSON are their own already.
 */
export function ownRecord(record: StateRecord, earlier: StateRecord | undefined, isCut: boolean, shared: SharedTexts): StateRecord {
  const isOwn = !isCut && earlier === undefined;
  // Keys are put together and never cut out of anything: see kind-definition.ts.
  const key = earlier?.key ?? record.key;
  if (record.value === undefined) return isOwn ? record : { ...record, key, callId: detached(record.callId) };
  const { kind, version, value } = record;
  const own = isOwn ? kinds[kind].sharing(value, shared) : kinds[kind].own(value, earlier?.value, shared);
  // A definition gives values of its kind only.
  return own === value ? record : ({ kind, key, version, value: own } as LiveRecord);
}
