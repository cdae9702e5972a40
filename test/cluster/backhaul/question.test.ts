import { describe, expect, it } from "vitest";
import { decodeMessage, encodeMessage, QuestionKind } from "../../../cluster/backhaul/question.ts";

const octets = new Uint8Array([1, 2, 3]);

describe("messages between a line and an exchange of another cell", () => {
  it.each(Object.values(QuestionKind))("are read as they were written: kind %i", (kind) => {
    for (const [number, time] of [
      [0, 0],
      [1, Number.NaN],
      [0xffffffff, 1_790_000_000_123.5],
    ] as const) {
      expect(decodeMessage(encodeMessage(kind, number, time, octets))).toEqual({ kind, number, time, octets });
      expect(decodeMessage(encodeMessage(kind, number, time))?.octets).toHaveLength(0);
    }
  });

  it("are read where they stand", () => {
    const message = encodeMessage(QuestionKind.question, 7, 9, octets);
    const among = new Uint8Array(message.length + 20);
    among.set(message, 11);
    expect(decodeMessage(among.subarray(11, 11 + message.length))).toMatchObject({ number: 7, time: 9, octets });
  });

  it("are nothing when they are cut off, or of a kind that nobody knows", () => {
    const message = encodeMessage(QuestionKind.question, 7, 9);
    for (let length = 0; length < message.length; length += 1) expect(decodeMessage(message.subarray(0, length))).toBeUndefined();
    for (const kind of [0, 6, 255]) expect(decodeMessage(Uint8Array.of(kind, ...message.subarray(1)))).toBeUndefined();
  });
});
