import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { planOf } from "../../bench/overload/plan.ts";

const root = join(import.meta.dirname, "../..");

describe("the command line of overload", () => {
  it("has a rate and seconds for each work when none are given", () => {
    expect(planOf(["rush"])).toMatchObject({ name: "rush", rate: 6_000, seconds: 25, checkout: undefined });
    expect(planOf(["flood", "--kind", "options", "--sources", "254", "--checkout", root])).toMatchObject({
      kind: "options",
      sources: 254,
      rate: 20,
      checkout: root,
    });
    expect(planOf(["--share", "0.5", "throttled"])).toMatchObject({ name: "throttled", share: 0.5, seconds: 60 });
  });

  it("shows its help", () => {
    expect(planOf(["--help"])).toMatchObject({ code: 0, text: expect.stringContaining("npm run overload") });
  });

  it.each([
    [],
    ["throttle"],
    ["rush", "flood"],
    ["flood", "--kind", "x"],
    ["flood", "--sources", "x"],
    ["flood", "--sources", "255"],
    ["flood", "--messages", "0"],
    ["throttled", "--share", "3"],
    ["throttled", "--share", ""],
    ["rush", "--seconds=-1"],
    ["rush", "--seconds", "-1"],
    ["rush", "--rate", "1.5"],
    ["rush", "--checkout", "/nowhere"],
    ["rush", "--checkout", join(root, "cli")],
    ["rush", "--unknown"],
  ])("refuses in one line: %j %j %j", (...args) => {
    expect(planOf(args)).toEqual({ code: 2, text: expect.stringMatching(/^[^\n]+\n$/) });
  });
});
