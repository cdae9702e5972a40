import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { recordOctetsMax } from "../../../sip/limits.ts";
import { parseRecord, serializeRecord } from "../../../sip/record/record-text.ts";
import type { StateRecord } from "../../../sip/record/state-record.ts";
import type { Invite } from "../../../sip/record/values.ts";
import { bindingRecord, bindingTombstone, callRecord, dialogRecord, invite, recordsArbitrary, side, version } from "./records.ts";

/** Every field holds something. */
const fullInvite: Invite = {
  ...invite,
  responseFlow: "g1~r",
  lastStatus: 180,
  lastResponse: "SIP/2.0 180",
  waiting: [{ requestUri: "sip:w", routes: ["<sip:r>"], flow: "f", nextHop: "h", group: "g", q: 0.5, seek: "first", bindingKey: "b" }],
  branches: [
    {
      target: { requestUri: "sip:t", routes: [] },
      state: "Calling",
      reference: "ref",
      branch: "z9",
      mark: "mark",
      flow: "f2",
      alternatives: ["f3"],
      cancelRequested: false,
      isLost: true,
      breadth: 3,
      hasFound: true,
      timerCRanMs: 5,
    },
  ],
  best: { status: 486, octets: "SIP/2.0 486" },
  challenges: [{ isProxy: true, value: "Digest" }],
  cancelReasons: ["SIP"],
  declined: true,
  at: 7,
};

describe("records as text", () => {
  it("are read back as they were", () => {
    fc.assert(
      fc.property(recordsArbitrary, (records) => {
        for (const record of records) expect(parseRecord(serializeRecord(record))).toEqual(record);
      }),
    );
  });

  it("are read back from the objects of earlier releases, which had the fields by name", () => {
    fc.assert(
      fc.property(recordsArbitrary, (records) => {
        for (const record of records) expect(parseRecord(JSON.stringify(record))).toEqual(record);
      }),
    );
  });

  it("have each field in its place, for a disk outlives the release that wrote it", () => {
    const at = version(1);
    const before = version(0);
    const texts: readonly (readonly [StateRecord, string])[] = [
      [
        bindingRecord(at),
        `["binding","bob@example.test sip:bob@192.0.2.4","${at}",601000,0,"sip:bob@192.0.2.4","call-1",1,1000,"g1~u0..c000020413c4","UDP","192.0.2.4:5060","phone/1"]`,
      ],
      [
        bindingRecord(at, {
          addressOfRecord: "robert@example.test",
          parameters: ";x",
          instanceId: "i",
          regId: 2,
          q: 0.5,
          path: ["<sip:p>"],
          formerFlows: ["f"],
          provenAt: "h:1",
          cameOn: "g1~f",
        }),
        `["binding","bob@example.test sip:bob@192.0.2.4","${at}",601000,0,"sip:bob@192.0.2.4","call-1",1,1000,"g1~u0..c000020413c4","UDP","192.0.2.4:5060","phone/1",";x","i",2,0.5,["<sip:p>"],["f"],"h:1","robert@example.test","g1~f"]`,
      ],
      [bindingTombstone(at, "call-1", 2, 9), `["binding","bob@example.test sip:bob@192.0.2.4","${at}",9,1,"call-1",2]`],
      [
        { kind: "subscriber", key: "k", version: at, value: { ha1Md5: "1", ha1Sha256: "2", ha1bMd5: "3", ha1bSha256: "4" } },
        `["subscriber","k","${at}",null,0,"1","2","3","4"]`,
      ],
      [
        dialogRecord(at, { caller: side("alice", { version: at }), callee: side("bob", { version: before, routes: ["r"] }), source: "s" }),
        `["dialog","d1 alice bob","${at}",1000000,0,"d1","confirmed",1000,["alice","alice@example.test","sip:alice@192.0.2.1","","",-1],["bob","bob@example.test","sip:bob@192.0.2.1","","",-1,"${before}",null,["r"]],"s"]`,
      ],
      [
        dialogRecord(at, {
          caller: side("alice", { version: at }),
          callee: side("bob", { version: at }),
          call: { start: 900, ring: 950, cells: ["a", "b"], gateways: ["g1"], failovers: 1, caller: "q@elsewhere.test", callee: "c" },
        }),
        `["dialog","d1 alice bob","${at}",1000000,0,"d1","confirmed",1000,["alice","alice@example.test","sip:alice@192.0.2.1","","",-1],["bob","bob@example.test","sip:bob@192.0.2.1","","",-1],null,[900,["a","b"],["g1"],950,1,"q@elsewhere.test","c"]]`,
      ],
      [
        callRecord(at, { failovers: 2 }),
        `["call","d1 alice","${at}",63000,0,17179869184,"alice@example.test","bob@example.test","sip:bob@192.0.2.4",1000,1200,3000,200,"callerHungUp",["a"],["g1"],2]`,
      ],
      [
        callRecord(at, { isStrangers: true }),
        `["call","d1 alice","${at}",63000,0,17179869184,"alice@example.test","bob@example.test","sip:bob@192.0.2.4",1000,1200,3000,200,"callerHungUp",["a"],["g1"],0,1]`,
      ],
      [
        { kind: "invite", key: "t", version: at, value: { ...fullInvite, rangAt: 8, earlierCells: ["a"] } },
        `["invite","t","${at}",99,0,"INVITE","g1~f","g1~r",180,"SIP/2.0 180",true,[["sip:w",["<sip:r>"],"f","h","g",0.5,"first","b"]],[[["sip:t",[]],"Calling","ref","z9","mark","f2",["f3"],false,true,3,true,5]],1,[486,"SIP/2.0 486"],[[true,"Digest"]],false,["SIP"],true,7,8,["a"]]`,
      ],
      [
        { kind: "invite", key: "t", version: at, value: fullInvite },
        `["invite","t","${at}",99,0,"INVITE","g1~f","g1~r",180,"SIP/2.0 180",true,[["sip:w",["<sip:r>"],"f","h","g",0.5,"first","b"]],[[["sip:t",[]],"Calling","ref","z9","mark","f2",["f3"],false,true,3,true,5]],1,[486,"SIP/2.0 486"],[[true,"Digest"]],false,["SIP"],true,7]`,
      ],
    ];
    for (const [record, text] of texts) {
      expect(serializeRecord(record)).toBe(text);
      expect(parseRecord(text)).toStrictEqual(record);
    }
  });

  it("take an address-of-record out of a binding's key, but for one that says another", () => {
    const record = bindingRecord(version(1), { addressOfRecord: "carol@example.test" });
    expect(parseRecord(serializeRecord(record))).toEqual(record);
    expect(serializeRecord(bindingRecord(version(1))).match(/bob@example.test/g)).toHaveLength(1);
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
    const records = [bindingTombstone(version(1), "call-1", 2), bindingRecord(version(1), { provenAt: "h:1", cameOn: "g1~f" })];
    for (const each of [...records, dialogRecord(version(1), { source: "s" })]) {
      expect(parseRecord(serializeRecord(each).replace(/]$/, ',null,{"extra":[]}]'))).toEqual(each);
    }
  });

  const good = bindingRecord(version(1));
  const dialog = dialogRecord(version(1));
  const call: StateRecord = { kind: "invite", key: "t", version: version(1), value: fullInvite };
  const changedList = (place: number, by: unknown): string =>
    JSON.stringify((JSON.parse(serializeRecord(good)) as unknown[]).map((each, index) => (index === place ? by : each)));
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
    ["an empty list", "[]"],
    ["a list of an unknown kind", changedList(0, "constructor")],
    ["a list without a key", changedList(1, "")],
    ["a list without a version", changedList(2, "1")],
    ["a list without an end", changedList(3, null)],
    ["a list in no state", changedList(4, 3)],
    ["a list that ends too early", serializeRecord(good).replace(/,"phone.1"/, "")],
    ["a tombstone's list without its end", JSON.stringify(["binding", "k", version(1), null, 1, "", 0])],
    ["a dialog's list with one side", serializeRecord(dialog).replace(/,\["bob".*\]\]$/, "]")],
    ["an invite's list with broken branches", serializeRecord(call).replace(/,\[\[\["sip:t".*?\]\],1,/, ",[1],1,")],
  ])("are an error, not an exception, for %s", (_, text) => {
    expect(isParseError(parseRecord(text))).toBe(true);
  });

  it("are refused over their limit", () => {
    const result = parseRecord(" ".repeat(recordOctetsMax + 1));
    expect(isParseError(result) && result.error).toBe("record-max");
  });
});
