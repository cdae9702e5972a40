import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { peerBatchOctetsMax } from "../../../cluster/limits.ts";
import { parseAnswer, parseBatch, serializeAnswer, serializeBatch } from "../../../cluster/replication/peer-batch.ts";
import { serializeRecord } from "../../../sip/record/record-text.ts";
import { bindingRecord, bindingTombstone, dialogRecord, version } from "../../sip/record/records.ts";

const header = { cell: "a", boot: "one", peerBoot: "two", after: 3, sequence: 7, isComplete: true };

describe("a batch", () => {
  it("comes out as it went in, with records of every shape", () => {
    const records = [bindingRecord(version(1)), bindingTombstone(version(2), "call", 4), dialogRecord(version(3))];
    const text = serializeBatch(header, records.map(serializeRecord));
    expect(parseBatch(text)).toEqual({ ...header, records, unreadable: 0 });
    expect(parseBatch(serializeBatch(header, []))).toEqual({ ...header, records: [], unreadable: 0 });
  });

  it("carries octets as they are", () => {
    const record = bindingRecord(version(1), { contact: "sip:\u00e9\u00ff\u0000@192.0.2.1" });
    expect(parseBatch(serializeBatch(header, [serializeRecord(record)]))).toMatchObject({ records: [record] });
  });

  it("leaves out a record that cannot be read, and counts it", () => {
    const text = serializeBatch(header, [
      serializeRecord(bindingRecord(version(1))),
      '{"kind":"of a later release","key":"x","version":"y"}',
    ]);
    expect(parseBatch(text)).toMatchObject({ records: [{ key: bindingRecord(version(1)).key }], unreadable: 1 });
  });

  it.each([
    ["", "peer-json"],
    ["[]", "peer-json"],
    ["null", "peer-json"],
    [JSON.stringify({ ...header, records: {} }), "peer-batch"],
    [JSON.stringify({ ...header, isComplete: 1, records: [] }), "peer-batch"],
    [JSON.stringify({ ...header, boot: "", records: [] }), "peer-boot"],
    [JSON.stringify({ ...header, boot: "x".repeat(65), records: [] }), "peer-boot"],
    [JSON.stringify({ ...header, cell: 1, records: [] }), "peer-boot"],
    [JSON.stringify({ ...header, after: -1, records: [] }), "peer-sequence"],
    [JSON.stringify({ ...header, after: 8, records: [] }), "peer-sequence"],
    [JSON.stringify({ ...header, sequence: 1.5, records: [] }), "peer-sequence"],
    [" ".repeat(peerBatchOctetsMax + 1), "peer-max"],
  ])("is refused: %.60s", (text, error) => {
    expect(parseBatch(text)).toMatchObject({ error });
  });

  it("is never an exception, whatever arrives", () => {
    const text = serializeBatch(header, [serializeRecord(bindingRecord(version(1)))]);
    for (let end = 0; end < text.length; end += 1) expect(isParseError(parseBatch(text.slice(0, end)))).toBe(true);
  });
});

describe("an answer", () => {
  it("comes out as it went in", () => {
    const answer = { boot: "two", received: 7, ahead: 0 };
    expect(parseAnswer(serializeAnswer(answer))).toEqual(answer);
  });

  it.each(["", "{}", '{"boot":"","received":1,"ahead":0}', '{"boot":"x","received":-1,"ahead":0}', '{"boot":"x","received":1}'])(
    "is refused: %s",
    (text) => {
      expect(isParseError(parseAnswer(text))).toBe(true);
    },
  );
});
