import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  equalInConstantTime,
  makeBranch,
  makeDialogToken,
  makeViaMark,
  parseBranch,
  parseDialogToken,
  parseViaMark,
  verifyViaMark,
  verifyDialogToken,
} from "../../../sip/transport/token.ts";

const sign = (text: string): string => createHmac("sha256", "secret").update(text).digest("hex").slice(0, 20);
const foreign = (text: string): string => createHmac("sha256", "another").update(text).digest("hex").slice(0, 20);
const branch = { exchange: 35, reference: "k3f91", loop: "9zz" };
const mark = { cell: "a", upstream: "g1~u0.7f00000113c4" };
const dialog = { exchange: 7, cell: "b", callerTag: "1x2y3z", caller: "g1~u0..7f00000113c4", callee: "a.2~w0.k1.7f0000010000" };

function changedAt(text: string, at: number): string {
  return `${text.slice(0, at)}${text[at] === "x" ? "y" : "x"}${text.slice(at + 1)}`;
}

describe("Via branch tokens", () => {
  it("come back as they were made, with the magic cookie in front [RFC3261 8.1.1.7]", () => {
    const text = makeBranch(branch);
    const marked = makeViaMark(text, mark, sign);
    expect(text.startsWith("z9hG4bK")).toBe(true);
    expect(/^[\w.!%*+`'~-]+$/.test(text + marked)).toBe(true);
    expect(parseBranch(text)).toEqual(branch);
    expect(verifyViaMark(text, marked, sign)).toEqual(mark);
  });

  it("are routable without the key, trusted only with it", () => {
    const text = makeBranch(branch);
    const marked = makeViaMark(text, mark, foreign);
    expect(parseViaMark(marked)).toEqual(mark);
    expect(verifyViaMark(text, marked, sign)).toBeUndefined();
  });

  it("do not survive any change of one character, in the branch or in the mark", () => {
    const text = makeBranch(branch);
    const marked = makeViaMark(text, mark, sign);
    for (let at = 0; at < text.length; at += 1) expect(verifyViaMark(changedAt(text, at), marked, sign)).toBeUndefined();
    for (let at = 0; at < marked.length; at += 1) expect(verifyViaMark(text, changedAt(marked, at), sign)).toBeUndefined();
  });

  it("of others are not ours", () => {
    expect(parseBranch("z9hG4bK776asdhds")).toBeUndefined();
    expect(parseBranch("")).toBeUndefined();
    fc.assert(fc.property(fc.string(), fc.string(), (text, other) => verifyViaMark(`z9hG4bKtd${text}`, other, sign) === undefined));
  });
});

describe("Record-Route tokens [RFC5626 5.2]", () => {
  it("come back as they were made, and fit the user part of a SIP URI", () => {
    const text = makeDialogToken(dialog, sign);
    expect(/^[\w.!~*'()-]+$/.test(text)).toBe(true);
    expect(verifyDialogToken(text, sign)).toEqual(dialog);
    expect(parseDialogToken(text)).toEqual(dialog);
  });

  it("may leave a side to be routed by its URI", () => {
    const open = { ...dialog, callee: "" };
    expect(verifyDialogToken(makeDialogToken(open, sign), sign)).toEqual(open);
  });

  it("do not survive any change of one character, nor another cluster's key", () => {
    const text = makeDialogToken(dialog, sign);
    for (let at = 0; at < text.length; at += 1) {
      const changed = `${text.slice(0, at)}${text[at] === "x" ? "y" : "x"}${text.slice(at + 1)}`;
      expect([changed, verifyDialogToken(changed, sign)]).toEqual([changed, undefined]);
    }
    expect(verifyDialogToken(makeDialogToken(dialog, foreign), sign)).toBeUndefined();
  });

  it("never throw on any text", () => {
    const property = fc.property(fc.string(), (text) => verifyDialogToken(`td1*${text}`, sign) === undefined);
    expect(() => fc.assert(property)).not.toThrow();
  });
});

describe("comparison of signatures", () => {
  it("tells equal from different, whatever the lengths", () => {
    expect(equalInConstantTime("abc", "abc")).toBe(true);
    expect(equalInConstantTime("abc", "abd")).toBe(false);
    expect(equalInConstantTime("", "abd")).toBe(false);
    expect(equalInConstantTime("abcd", "abc")).toBe(false);
  });
});
