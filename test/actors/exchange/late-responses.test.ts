import { describe, expect, it } from "vitest";
import { LateResponses } from "../../../actors/exchange/late-responses.ts";
import { inviteLifetimeMs } from "../../../sip/limits.ts";

const branch = "z9hG4bKtd0.x.0";

describe("[RFC6026 7.3, RFC4320 4.2] a response that no transaction waits for", () => {
  it.each(["a", "b"])("is late when its transaction has ended here, in the name of cell %s", (cell) => {
    const late = new LateResponses("a", 1_000);
    expect(late.isLate(branch, cell, "INVITE", 2_000)).toBe(false);
    late.ended(branch, `${cell}*y*s`, "INVITE", 2_000);
    expect(late.isLate(branch, cell, "INVITE", 2_000 + inviteLifetimeMs)).toBe(true);
    expect(late.isLate(branch, cell, "CANCEL", 2_000)).toBe(false);
  });

  it("with our own name is late in any case when nothing of an earlier start can be in progress", () => {
    const late = new LateResponses("a", 1_000);
    const now = 1_001 + 2 * inviteLifetimeMs;
    expect([late.isLate(branch, "a", "BYE", now), late.isLate(branch, "b", "BYE", now)]).toEqual([true, false]);
  });
});
