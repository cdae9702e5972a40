import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { unusable } from "../../bench/overload/others.ts";
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

  it.each([
    [["flood", "--seconds", "-1"], "--seconds needs a value that begins with no dash: see --help"],
    [["flood", "--unknown"], "--unknown: no such option: see --help"],
    [["flood", "--help=no"], "--help takes no value: see --help"],
    [["flood", "--rate", "0"], "--rate takes a whole number from 1 to 100000, not 0"],
  ] as const)("says what to do: %j", (args, text) => {
    expect(planOf(args)).toEqual({ code: 2, text: `${text}\n` });
  });
});

describe("what is measured before a flood", () => {
  const some = [1];
  const samples = {
    "INVITE to 180": some,
    "INVITE to 200": some,
    "BYE to 200": some,
    "REGISTER to 200": some,
    "MESSAGE to 200": some,
  };
  const quiet = { calls: 1, samples, floor: some, failed: 0, cause: undefined, retransmissions: 0 };

  it("cannot be compared with when something failed, or was not measured", () => {
    expect(unusable(quiet)).toBeUndefined();
    expect(unusable({ ...quiet, failed: 688 })).toMatch(/^baseline unusable: 688 requests failed without any flood: /);
    expect(unusable({ ...quiet, samples: { ...samples, "BYE to 200": [] } })).toMatch(/^baseline unusable: no BYE to 200 was measured: /);
  });
});
