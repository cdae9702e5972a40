import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { kinds, namedKinds, oneForEachKind, recordKinds } from "../../../sip/record/record-kinds.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import { parseAnyRecord, serializeRecord } from "../../../sip/record/record-text.ts";
import type { LiveRecord, StateRecord } from "../../../sip/record/state-record.ts";
import { makeTombstone } from "../../../sip/record/tombstone.ts";
import { bindingRecord, callRecord, dialogRecord, invite, version } from "./records.ts";

/** One of each kind that stands in records: a kind that has none here is a type error. */
const one: { readonly [Kind in (typeof namedKinds)[number]]: LiveRecord<Kind> } = {
  subscriber: {
    kind: "subscriber",
    key: "bob@example.test",
    version: version(1),
    value: { ha1Md5: "1", ha1Sha256: "2", ha1bMd5: "", ha1bSha256: "" },
  },
  binding: bindingRecord(version(1)),
  invite: { kind: "invite", key: "transaction", version: version(1), value: invite },
  dialog: dialogRecord(version(1)),
  call: callRecord(version(1)),
};

function readBack(record: StateRecord): StateRecord {
  const read = parseAnyRecord(serializeRecord(record));
  if (isParseError(read)) throw new Error(read.reason);
  return read;
}

/** What an end must say to count. */
function orderOfEnd(record: LiveRecord): { readonly callId: string; readonly cSeq: number } | undefined {
  if (record.kind === "call") return { callId: "", cSeq: record.value.rank };
  return record.kind === "binding" ? { callId: record.value.callId, cSeq: record.value.cSeq + 1 } : undefined;
}

describe("the kinds of records", () => {
  it("are those that are defined, and all but one stand in records", () => {
    expect(recordKinds).toEqual(Object.keys(kinds));
    expect([...namedKinds, "unread"].toSorted()).toEqual(recordKinds.toSorted());
  });

  it("have one of whatever there is for each, in the order of the list", () => {
    expect(Object.entries(oneForEachKind((kind) => kind))).toEqual(recordKinds.map((kind) => [kind, kind]));
    const tables = oneForEachKind(() => new Map());
    expect(new Set(Object.values(tables)).size).toBe(recordKinds.length);
  });

  it.each(namedKinds)("a %s is held and counted as one, alive and ended, after its text was read", (kind) => {
    const record = one[kind];
    const store = new RecordStore();
    expect(store.apply(readBack(record))).toBe(true);
    expect(recordKinds.map((each) => store.count(each))).toEqual(recordKinds.map((each) => (each === kind ? 1 : 0)));
    expect(store.get(kind, record.key)).toEqual(record);
    const end = makeTombstone(kind, record.key, version(2), 5, orderOfEnd(record));
    expect(store.apply(readBack(end))).toBe(true);
    expect(store.count(kind)).toBe(0);
    expect(store.size).toBe(1);
    expect(store.get(kind, record.key)).toEqual(end);
  });
});
