import { describe, expect, it } from "vitest";
import { internedTextsMax } from "../../../sip/limits.ts";
import { ownRecord } from "../../../sip/record/own-record.ts";
import { detached, SharedTexts } from "../../../sip/record/own-texts.ts";
import { bindingRecord, dialogRecord, version } from "./records.ts";

describe("texts of records", () => {
  it("are the same after they were made the record's own, however it came and whatever was there before", () => {
    const shared = new SharedTexts();
    const long = bindingRecord(version(1), { userAgent: "a user agent of some length", path: ["<sip:proxy.example.test;lr>"] });
    for (const record of [long, dialogRecord(version(2)), bindingRecord(version(3))]) {
      expect(ownRecord(record, undefined, true, shared)).toEqual(record);
      expect(ownRecord(record, undefined, false, shared)).toEqual(record);
      expect(ownRecord(record, record, true, shared)).toEqual(record);
    }
    expect(detached("x".repeat(100))).toBe("x".repeat(100));
    expect(detached("")).toBe("");
  });

  it("are shared, a bounded number of them", () => {
    const shared = new SharedTexts();
    for (let n = 0; n < 3 * internedTextsMax; n += 1)
      ownRecord(bindingRecord(version(1), { userAgent: `agent ${n}` }), undefined, true, shared);
    expect(shared.size).toBeLessThanOrEqual(internedTextsMax);
  });
});
