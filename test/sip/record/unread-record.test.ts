import { describe, expect, it } from "vitest";
import { parseBatch, serializeBatch } from "../../../cluster/replication/peer-batch.ts";
import { isParseError } from "../../../sip/errors.ts";
import { bindingTombstoneMs, recordOctetsMax } from "../../../sip/limits.ts";
import { anyRecordOf, parseAnyRecord, parseRecord, serializeRecord } from "../../../sip/record/record-text.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import type { StateRecord } from "../../../sip/record/state-record.ts";
import { bindingRecord, version } from "./records.ts";

/** A record as a later release might write it. */
function later(ms: number, changes: object = {}): string {
  return JSON.stringify({
    kind: "voicemail-box",
    key: "bob@example.test",
    version: version(ms),
    value: { greeting: "hm", expiresAt: 5_000 },
    ...changes,
  });
}

function carried(text: string): StateRecord {
  const record = parseAnyRecord(text);
  if (isParseError(record)) throw new Error(record.reason);
  return record;
}

/** What another replica has after it was told by this one. */
function told(store: RecordStore): RecordStore {
  const { records, sequence } = store.changedSince(0, 100, true);
  const header = { cell: "a", boot: "a1", peerBoot: "b1", after: 0, sequence, isComplete: true };
  const batch = parseBatch(
    serializeBatch(
      header,
      records.map((record) => store.textOf(record)),
    ),
  );
  if (isParseError(batch)) throw new Error(batch.reason);
  expect(batch.unreadable).toBe(0);
  const other = new RecordStore({ isPaired: true });
  for (const record of batch.records) other.apply(record, "peer");
  return other;
}

function textsOf(store: RecordStore): string[] {
  return [...store.records("unread")].map((record) => store.textOf(record));
}

describe("a record of a kind that is not known", () => {
  it("is carried as it came, with all its fields", () => {
    const text = later(1, { extra: [1, { deep: null }] });
    expect(carried(text)).toMatchObject({ kind: "unread", key: "voicemail-box bob@example.test", version: version(1) });
    expect(serializeRecord(carried(text))).toBe(text);
  });

  it("is carried as it came when it is a list, and forgotten as one", () => {
    const text = `["voicemail-box","bob@example.test","${version(1)}",5000,0,"hm",[1,{"deep":null}]]`;
    const end = `["voicemail-box","gone","${version(1)}",7000,1,"",0]`;
    const store = new RecordStore();
    for (const each of [text, end, `["voicemail-box","for ever","${version(1)}",null,0]`]) store.apply(carried(each));
    expect(carried(text)).toMatchObject({ kind: "unread", key: "voicemail-box bob@example.test", version: version(1) });
    expect(serializeRecord(carried(text))).toBe(text);
    store.sweep(6_999);
    expect(store.count("unread")).toBe(3);
    store.sweep(7_000);
    expect(store.count("unread")).toBe(2);
    store.sweep(5_000 + bindingTombstoneMs);
    expect([...store.records("unread")].map(({ key }) => key)).toEqual(["voicemail-box for ever"]);
  });

  it("goes from one replica to the other, and on to a third, octet by octet", () => {
    const store = new RecordStore({ isPaired: true });
    store.apply(carried(later(1)), "peer");
    store.apply(bindingRecord(version(2)));
    const second = told(store);
    expect(textsOf(second)).toEqual([later(1)]);
    expect(textsOf(told(second))).toEqual([later(1)]);
  });

  it("has a row, and is there again when the rows are read back", () => {
    const store = new RecordStore({ isPaired: true });
    store.apply(carried(later(1)), "peer");
    const rows = store.takeDirty().put.map((record) => store.textOf(record));
    expect(rows).toEqual([later(1)]);
    const again = new RecordStore({ isPaired: true });
    for (const row of rows) again.apply(carried(row), "disk");
    expect(textsOf(again)).toEqual([later(1)]);
    expect(again.takeDirty().put).toEqual([]);
  });

  it("is replaced by its later version only, whichever comes first", () => {
    const end = later(2, { value: undefined, until: 9_000, callId: "", cSeq: 0 });
    for (const texts of [
      [later(1), end],
      [end, later(1)],
    ]) {
      const store = new RecordStore();
      for (const text of texts) store.apply(carried(text), "peer");
      expect(textsOf(store)).toEqual([end]);
    }
  });

  it("is told apart from one of another kind that has the same key", () => {
    const store = new RecordStore();
    store.apply(carried(later(1)));
    store.apply(carried(later(1, { kind: "presence" })));
    expect(store.count("unread")).toBe(2);
  });

  it("is forgotten when it has been over for longer than anybody remembers an end, and not at all when it does not say", () => {
    const store = new RecordStore();
    store.apply(carried(later(1)));
    store.apply(carried(later(1, { key: "gone", value: undefined, until: 7_000 })));
    store.apply(carried(later(1, { key: "for ever", value: 3 })));
    store.sweep(6_999);
    expect(store.count("unread")).toBe(3);
    store.sweep(7_000);
    expect(store.count("unread")).toBe(2);
    store.sweep(5_000 + bindingTombstoneMs);
    expect([...store.records("unread")].map(({ key }) => key)).toEqual(["voicemail-box for ever"]);
  });

  it("is read by who knows its kind", () => {
    const known = bindingRecord(version(1));
    expect(parseAnyRecord(serializeRecord(known))).toEqual(known);
  });

  it.each([
    ["no name of a kind", { kind: "Voice Mail" }],
    ["a kind of any length", { kind: "k".repeat(33) }],
    ["no kind", { kind: undefined }],
    ["no key", { key: "" }],
    ["no version", { version: "1" }],
    ["too much", { value: "x".repeat(recordOctetsMax) }],
  ])("is an error with %s", (_, changes) => {
    expect(isParseError(anyRecordOf(JSON.parse(later(1, changes))))).toBe(true);
  });

  it("is an error where only known kinds are expected, and a malformed one of a known kind everywhere", () => {
    expect(isParseError(parseRecord(later(1)))).toBe(true);
    expect(isParseError(parseAnyRecord(JSON.stringify({ ...bindingRecord(version(1)), value: 3 })))).toBe(true);
  });
});
