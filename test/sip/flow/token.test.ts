import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  equalInConstantTime,
  hashTag,
  makeBranch,
  makeDialogToken,
  makeViaMark,
  parseBranch,
  parseDialogToken,
  parseViaMark,
  verifyViaMark,
  verifyDialogToken,
} from "../../../sip/flow/token.ts";

const sign = (text: string): string => createHmac("sha256", "secret").update(text).digest("hex").slice(0, 20);
const foreign = (text: string): string => createHmac("sha256", "another").update(text).digest("hex").slice(0, 20);
const third = (text: string): string => createHmac("sha256", "third").update(text).digest("hex").slice(0, 20);
const branch = { exchange: 35, reference: "k3f91", loop: "9zz" };
const mark = { cell: "a", upstream: "g1~u0.7f00000113c4" };
const bound = { callId: "call-1@192.0.2.4", callerTag: "al-1" };
const dialog = { exchange: 7, cell: "b", madeAt: 1_795_000_001_000, caller: "g1~u0..7f00000113c4", callee: "a.2~w0.k1.7f0000010000" };

function changedAt(text: string, at: number): string {
  return `${text.slice(0, at)}${text[at] === "x" ? "y" : "x"}${text.slice(at + 1)}`;
}

describe("tokens while the secret is changed", () => {
  const changing = Object.assign((text: string) => sign(text), { accepted: () => [foreign] });
  const text = makeBranch(branch);
  const alice = { callId: "call-1@192.0.2.4", fromTag: "al-1", toTag: "bob-9" };

  it("count by whichever secret that is accepted they were made, and are made by one", () => {
    for (const maker of [sign, foreign]) {
      expect(verifyViaMark(text, makeViaMark(text, mark, maker), changing)).toEqual(mark);
      expect(verifyDialogToken(makeDialogToken(dialog, bound, maker), alice, changing)).toEqual({ token: dialog, direction: "toCallee" });
    }
    expect(makeViaMark(text, mark, changing)).toBe(makeViaMark(text, mark, sign));
    expect(verifyViaMark(text, makeViaMark(text, mark, third), changing)).toBeUndefined();
    expect(verifyDialogToken(makeDialogToken(dialog, bound, third), alice, changing)).toBeUndefined();
  });
});

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
  const text = makeDialogToken(dialog, bound, sign);
  const fromCaller = { callId: "call-1@192.0.2.4", fromTag: "al-1", toTag: "bo-2" };
  const fromCallee = { callId: "call-1@192.0.2.4", fromTag: "bo-2", toTag: "al-1" };

  it("come back as they were made, say the direction by the tags, and fit the user part of a SIP URI", () => {
    expect(/^[\w.!~*'()-]+$/.test(text)).toBe(true);
    expect(verifyDialogToken(text, fromCaller, sign)).toEqual({ token: dialog, direction: "toCallee" });
    expect(verifyDialogToken(text, fromCallee, sign)).toEqual({ token: dialog, direction: "toCaller" });
    expect(parseDialogToken(text)).toEqual(dialog);
  });

  it("[RFC2543] stand for a side without a tag too", () => {
    expect(verifyDialogToken(text, { ...fromCaller, toTag: undefined }, sign)?.direction).toBe("toCallee");
    const untagged = makeDialogToken(dialog, { callId: "call-1", callerTag: "" }, sign);
    expect(verifyDialogToken(untagged, { callId: "call-1", fromTag: undefined, toTag: "b" }, sign)?.direction).toBe("toCallee");
    expect(verifyDialogToken(untagged, { callId: "call-1", fromTag: "b", toTag: undefined }, sign)?.direction).toBe("toCaller");
  });

  it("are good for no other Call-ID, for nobody without the caller's tag, and for no two equal tags", () => {
    expect(verifyDialogToken(text, { ...fromCaller, callId: "call-2@192.0.2.4" }, sign)).toBeUndefined();
    expect(verifyDialogToken(text, { ...fromCaller, callId: "CALL-1@192.0.2.4" }, sign)).toBeUndefined();
    expect(verifyDialogToken(text, { ...fromCaller, fromTag: "zzz" }, sign)).toBeUndefined();
    expect(verifyDialogToken(text, { ...fromCaller, toTag: "al-1" }, sign)).toBeUndefined();
    // What stands between Call-ID and tag must not move.
    const close = makeDialogToken(dialog, { callId: "2*c", callerTag: "a" }, sign);
    expect(verifyDialogToken(close, { callId: "c", fromTag: "a*2", toTag: "b" }, sign)).toBeUndefined();
  });

  it("do not survive any change of one character, nor another cluster's key", () => {
    for (let at = 0; at < text.length; at += 1) {
      const changed = changedAt(text, at);
      expect([changed, verifyDialogToken(changed, fromCaller, sign)]).toEqual([changed, undefined]);
    }
    expect(verifyDialogToken(makeDialogToken(dialog, bound, foreign), fromCaller, sign)).toBeUndefined();
  });

  it("of before they were bound are read, and say that they are old", () => {
    const old = `td1*7*b*${hashTag("al-1")}*${dialog.caller}*`;
    const signed = `${old}*${sign(old)}`;
    expect(verifyDialogToken(signed, fromCallee, sign)).toEqual({
      token: { ...dialog, callee: "", madeAt: undefined },
      direction: "toCaller",
    });
    expect(verifyDialogToken(signed, { ...fromCallee, toTag: "other" }, sign)).toBeUndefined();
    // An old one's signature opens no new one.
    expect(verifyDialogToken(`td2${signed.slice(3)}`, fromCallee, sign)).toBeUndefined();
  });

  it("never throw on any text", () => {
    const property = fc.property(fc.string(), (any) => verifyDialogToken(`td2*${any}`, fromCaller, sign) === undefined);
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
