import { describe, expect, it } from "vitest";
import { internedTextsMax } from "../../../sip/limits.ts";
import { detached, Interner } from "../../../sip/record/interner.ts";
import { bindingRecord, dialogRecord, version } from "./records.ts";

describe("texts of records", () => {
  it("are the same after they were made the record's own, however it came and whatever was there before", () => {
    const interner = new Interner();
    const long = bindingRecord(version(1), { userAgent: "a user agent of some length", path: ["<sip:proxy.example.test;lr>"] });
    for (const record of [long, dialogRecord(version(2)), bindingRecord(version(3))]) {
      expect(interner.own(record, undefined, true)).toEqual(record);
      expect(interner.own(record, undefined, false)).toEqual(record);
      expect(interner.own(record, record, true)).toEqual(record);
    }
    expect(detached("x".repeat(100))).toBe("x".repeat(100));
    expect(detached("")).toBe("");
  });

  it("are shared, a bounded number of them", () => {
    const interner = new Interner();
    for (let n = 0; n < 3 * internedTextsMax; n += 1) interner.own(bindingRecord(version(1), { userAgent: `agent ${n}` }), undefined, true);
    expect(interner.size).toBeLessThanOrEqual(internedTextsMax);
  });
});
