import { describe, expect, it } from "vitest";
import { RecordStore } from "../../sip/record/record-store.ts";
import { digestOf } from "../../workers/exchange/digest.ts";
import { digestParts } from "../../workers/limits.ts";
import { bindingRecord, bindingTombstone, dialogRecord, version } from "../sip/record/records.ts";
import { get, signature } from "./cell.ts";

describe("the digest of a replica", () => {
  it("is the same for the same records in any order, and another for others", () => {
    const [one, other] = [new RecordStore(), new RecordStore()];
    const records = [bindingRecord(version(1)), dialogRecord(version(2))];
    for (const record of records) one.apply(record);
    for (const record of records.toReversed()) other.apply(record, "peer");
    expect(digestOf(one)).toMatchObject({ count: 2, hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(digestOf(other)).toEqual(digestOf(one));
    other.apply(bindingRecord(version(3), { cSeq: 2 }), "peer");
    expect(digestOf(other).hash).not.toBe(digestOf(one).hash);
    // Of what differs one part says so, and no other.
    const { parts } = digestOf(one);
    expect(parts).toHaveLength(digestParts);
    expect(digestOf(other).parts.filter((part, index) => part !== parts[index])).toHaveLength(1);
  });

  it("is the same for the same fields in any order: a record is made in one, and read in another", () => {
    const [one, other] = [new RecordStore(), new RecordStore()];
    const record = dialogRecord(version(1));
    const { caller, callee, ...value } = record.value;
    one.apply(record);
    other.apply({ value: { callee, ...value, caller }, version: record.version, key: record.key, kind: "dialog" });
    expect(digestOf(other)).toEqual(digestOf(one));
  });

  it("does not count what has ended", () => {
    const [one, other] = [new RecordStore(), new RecordStore()];
    one.apply(bindingTombstone(version(1), "call-1", 1));
    expect(digestOf(one)).toEqual(digestOf(other));
  });

  it("is what a cell answers to another one, and to nobody else", async () => {
    const response = await get("/cell/digest/0", { authorization: signature("cell", "b", "GET /cell/digest/0") });
    expect(await response.json()).toEqual(digestOf(new RecordStore()));
    expect((await get("/cell/digest/0")).status).toBe(401);
  });
});
