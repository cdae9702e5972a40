import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { recordOctetsMax } from "../../../sip/limits.ts";
import { parseRecord, serializeRecord } from "../../../sip/record/record-text.ts";
import { bindingRecord, bindingTombstone, dialogRecord, recordsArbitrary, version } from "./records.ts";

describe("records as text", () => {
  it("are read back as they were", () => {
    fc.assert(
      fc.property(recordsArbitrary, (records) => {
        for (const record of records) expect(parseRecord(serializeRecord(record))).toEqual(record);
      }),
    );
  });

  it("keep every octet of a message", () => {
    const contact = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join("");
    const record = bindingRecord(version(1), { contact, q: 0.5, path: ["<sip:p1;lr>", "<sip:p2;lr>"] });
    expect(parseRecord(serializeRecord(record))).toEqual(record);
  });

  it("say whether a phone has lost its connection or has taken itself off, which an older replica does not", () => {
    const off = bindingTombstone(version(1), "call-1", 2);
    const lost = { ...off, isLost: true } as const;
    for (const record of [off, lost]) expect(parseRecord(serializeRecord(record))).toStrictEqual(record);
    expect(parseRecord(JSON.stringify({ ...off, isLost: "yes" }))).toStrictEqual(off);
    const moved = { ...lost, formerFlows: ["a.0~w0.c1.7f0000010001"] } as const;
    expect(parseRecord(serializeRecord(moved))).toStrictEqual(moved);
    expect(parseRecord(JSON.stringify({ ...moved, formerFlows: 3 }))).toStrictEqual(lost);
    const binding = bindingRecord(version(1));
    const back = bindingRecord(version(1), { formerFlows: moved.formerFlows });
    expect(parseRecord(serializeRecord(back))).toStrictEqual(back);
    expect(parseRecord(serializeRecord(binding))).toStrictEqual(binding);
  });

  it("drop fields they do not know", () => {
    const record = bindingRecord(version(1));
    expect(parseRecord(JSON.stringify({ ...record, extra: 1, value: { ...record.value, extra: 2 } }))).toEqual(record);
  });

  const good = bindingRecord(version(1));
  const dialog = dialogRecord(version(1));
  it.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["no object", "[]"],
    ["null", "null"],
    ["an unknown kind", JSON.stringify({ ...good, kind: "constructor" })],
    ["no key", JSON.stringify({ ...good, key: "" })],
    ["no version", JSON.stringify({ ...good, version: "1" })],
    ["a value of another kind", JSON.stringify({ ...good, kind: "dialog" })],
    ["a null value", JSON.stringify({ ...good, value: null })],
    ["a tombstone without its end", JSON.stringify({ kind: "binding", key: "k", version: version(1), callId: "", cSeq: 0 })],
    ["a negative CSeq", JSON.stringify({ ...good, value: { ...good.value, cSeq: -1 } })],
    ["a q above 1", JSON.stringify({ ...good, value: { ...good.value, q: 2 } })],
    ["a path that is no list", JSON.stringify({ ...good, value: { ...good.value, path: "p" } })],
    ["a path of numbers", JSON.stringify({ ...good, value: { ...good.value, path: [1] } })],
    ["a dialog in no state", JSON.stringify({ ...dialog, value: { ...dialog.value, state: "early" } })],
    ["a dialog with one side", JSON.stringify({ ...dialog, value: { ...dialog.value, callee: undefined } })],
    ["an invite with broken branches", JSON.stringify({ kind: "invite", key: "k", version: version(1), value: { branches: [1] } })],
  ])("are an error, not an exception, for %s", (_, text) => {
    expect(isParseError(parseRecord(text))).toBe(true);
  });

  it("are refused over their limit", () => {
    const result = parseRecord(" ".repeat(recordOctetsMax + 1));
    expect(isParseError(result) && result.error).toBe("record-max");
  });
});
