import { describe, expect, it } from "vitest";
import { csvOf, localTime, sinceOf } from "../../../cli/commands/calls.ts";
import type { CallRow } from "../../../schemas/api-answers.ts";
import { runCommand } from "../captured-io.ts";

const row: CallRow = {
  id: "0123456789abcdef",
  caller: "alice@example.test",
  callee: "bob@example.test",
  answeredBy: "",
  start: "2026-11-30T08:00:00.000Z",
  ring: null,
  answer: null,
  end: "2026-11-30T08:00:01.000Z",
  status: 486,
  reason: "busy",
  cells: ["a", "b"],
  gateways: ["g1"],
  failovers: 1,
};

describe("tandem calls", () => {
  it("writes CSV with a heading, quotes what needs it, and lets no phone write a formula", () => {
    expect(csvOf([row, { ...row, caller: '=cmd|"x"', reason: "a, b" }])).toBe(
      [
        "id,caller,callee,answeredBy,start,ring,answer,end,status,reason,cells,gateways,failovers",
        "0123456789abcdef,alice@example.test,bob@example.test,,2026-11-30T08:00:00.000Z,,,2026-11-30T08:00:01.000Z,486,busy,a b,g1,1",
        `0123456789abcdef,"'=cmd|""x""",bob@example.test,,2026-11-30T08:00:00.000Z,,,2026-11-30T08:00:01.000Z,486,"a, b",a b,g1,1`,
        "",
      ].join("\r\n"),
    );
  });

  it("reads since when", () => {
    const now = Date.parse("2026-11-30T08:00:00Z");
    expect(sinceOf("30m", now).toISOString()).toBe("2026-11-30T07:30:00.000Z");
    expect(sinceOf("2d", now).toISOString()).toBe("2026-11-28T08:00:00.000Z");
    expect(sinceOf("2026-11-30T07:00:00Z", now).toISOString()).toBe("2026-11-30T07:00:00.000Z");
    for (const wrong of ["yesterday", "5", "3w", "-1h", "2026-13-01"]) {
      expect(() => sinceOf(wrong, now)).toThrow(`--since ${wrong}: must be like`);
    }
  });

  it("shows times by the clock of its machine", () => {
    expect(localTime(new Date(2026, 10, 30, 8, 5, 9).toISOString())).toBe("2026-11-30 08:05:09");
  });

  it.each([
    ["calls --json --csv", "--json and --csv"],
    ["calls --live --failed", "--live does not go with --since, --failed, --limit"],
    ["calls --live --limit 5", "--live does not go with --since, --failed, --limit"],
    ["calls --limit 0", "--limit 0: must be a whole number from 1"],
    ["calls show", "ID is missing"],
    ["calls end", "ID is missing"],
  ])("refuses %s", async (words, reason) => {
    const { code, err } = await runCommand(words.split(" "));
    expect([code, err]).toEqual([2, expect.stringContaining(reason)]);
  });
});
