import { describe, expect, it } from "vitest";
import { LateResponses } from "../../../sip/exchange/late-responses.ts";
import { inviteLifetimeMs } from "../../../sip/limits.ts";

const own = "z9hG4bKtd0.a.x*y.0.s";
const others = "z9hG4bKtd0.b.x*y.0.s";

describe("[RFC6026 7.3, RFC4320 4.2] a response that no transaction waits for", () => {
  it("is late when its transaction has ended here, whoever's name is in the branch", () => {
    const late = new LateResponses(0, "a", 1_000);
    for (const branch of [own, others]) {
      expect(late.isLate(branch, "INVITE", 2_000)).toBe(false);
      late.ended(branch, "INVITE", 2_000);
      expect(late.isLate(branch, "INVITE", 2_000 + inviteLifetimeMs)).toBe(true);
      expect(late.isLate(branch, "CANCEL", 2_000)).toBe(false);
    }
  });

  it("with our own name is late in any case when nothing of an earlier start can be in progress", () => {
    const late = new LateResponses(0, "a", 1_000);
    const now = 1_001 + 2 * inviteLifetimeMs;
    expect([late.isLate(own, "BYE", now), late.isLate(others, "BYE", now)]).toEqual([true, false]);
    expect(late.isLate(own.replace("td0", "td1"), "BYE", now)).toBe(false);
  });
});
