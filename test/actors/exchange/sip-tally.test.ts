import { describe, expect, it } from "vitest";
import { SipTally } from "../../../actors/exchange/sip-tally.ts";

describe("SipTally", () => {
  it("counts requests and responses by method", () => {
    const tally = new SipTally();
    tally.requested("INVITE");
    tally.requested("INVITE");
    tally.responded("INVITE", 180);
    tally.responded("INVITE", 200);
    tally.requested("BYE");
    expect(tally.counts()).toEqual([
      { method: "INVITE", status: 0, count: 2 },
      { method: "INVITE", status: 180, count: 1 },
      { method: "INVITE", status: 200, count: 1 },
      { method: "BYE", status: 0, count: 1 },
    ]);
  });

  it("does not grow with what strangers invent", () => {
    const tally = new SipTally();
    for (let index = 0; index < 10_000; index += 1) {
      tally.requested(`M${index}`);
      tally.responded(`M${index}`, 700 + index);
      tally.responded("INVITE", 699);
    }
    expect(tally.counts()).toEqual([
      { method: "other", status: 0, count: 10_000 },
      { method: "other", status: 999, count: 10_000 },
      { method: "INVITE", status: 999, count: 10_000 },
    ]);
  });
});
