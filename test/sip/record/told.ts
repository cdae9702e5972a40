import { isParseError } from "../../../sip/errors.ts";
import { parseRecord, serializeRecord } from "../../../sip/record/record-text.ts";
import type { StateRecord } from "../../../sip/record/state-record.ts";

/** Records as another replica reads them. */
export function told(records: readonly StateRecord[]): StateRecord[] {
  return records.map((record) => {
    const read = parseRecord(serializeRecord(record));
    if (isParseError(read)) throw new Error(read.reason);
    return read;
  });
}
