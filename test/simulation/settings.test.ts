import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { aimedFaultKinds } from "./aimed-faults.ts";
import { faultKinds, laterFaultKinds } from "./faults.ts";
import { groupFaultKinds } from "./group-faults.ts";
import { innerFaultKinds } from "./inner-faults.ts";
import { mapFaultKinds } from "./map-faults.ts";
import { memberFaultKinds } from "./member-faults.ts";
import { help, optionsOf, parseSettings, replayOf } from "./settings.ts";
import { simulate } from "./simulate.ts";

const root = resolve(import.meta.dirname, "../..");

/** What a command says to a command line. */
function run(file: string, args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, file), ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

const allKinds = [
  ...faultKinds,
  ...laterFaultKinds,
  ...innerFaultKinds,
  ...aimedFaultKinds,
  ...mapFaultKinds,
  ...groupFaultKinds,
  ...memberFaultKinds,
];

describe("the command line of the simulation", () => {
  it("asks for the 300 seeds from 1 on when it says nothing", () => {
    expect(parseSettings([])).toEqual({
      runs: 300,
      seed: 1,
      edition: "present",
      drawn: undefined,
      without: [],
      cells: undefined,
      isVerbose: false,
      hasRepertoire: false,
      endsAtFailure: false,
    });
  });

  it("names kinds of faults by their names", () => {
    expect(parseSettings(["--without", "bad weather, refuse a write"])?.without).toEqual(["bad weather", "refuse a write"]);
    expect(parseSettings(["--without", "all"])?.without).toEqual(allKinds);
    const settings = parseSettings(["--draw", "set a clock"]);
    expect(settings && optionsOf(settings, 5)).toEqual({
      seed: 5,
      edition: "present",
      without: [],
      isVerbose: false,
      faults: [],
      laterFaults: ["set a clock"],
      innerFaults: [],
      aimedFaults: [],
      mapFaults: [],
      groupFaults: [],
      memberFaults: [],
    });
    const ofMany = parseSettings(["--cells", "6"]);
    expect(ofMany && optionsOf(ofMany, 5).cells).toBe(6);
  });

  it.each([
    [["--runs", "x"], "--runs x: must be a whole number from 1 to 10000000"],
    [["--runs", "0"], "--runs 0: must be a whole number from 1 to 10000000"],
    [["--runs"], "--runs: needs a value, N"],
    [["--runs", "1", "--runs", "2"], "--runs: is given twice"],
    [["--seed", "abc"], "--seed abc: must be a whole number from 0 to 4294967295"],
    [["--edition", "fourth"], "--edition fourth: must be present, third, second, first"],
    [["--without", "nonsense"], '--without: "nonsense" is no kind of fault'],
    [["--cells", "5"], "--cells 5: must be 4, 6"],
    [["--draw", "all"], '--draw: "all" is no kind of fault'],
    [["--draw", "bad weather,"], '--draw: "" is no kind of fault'],
    [["--verbose=yes"], "--verbose: takes no value"],
    [["--faults", "none"], "--faults: is not known"],
    [["-x"], "-x: is not known"],
    [["7"], "7: is not an option"],
  ])("refuses %j", (args, message) => {
    expect(() => parseSettings(args)).toThrow(message);
  });

  it("is said again with a seed that has failed", () => {
    expect(replayOf({ seed: 673, edition: "first" })).toBe("npx node test/simulation/run.ts --runs 1 --seed 673 --edition first --verbose");
    expect(replayOf({ seed: 7, cells: 4 })).toBe("npx node test/simulation/run.ts --runs 1 --seed 7 --cells 4 --verbose");
    expect(replayOf({ seed: 9, without: ["bad weather", "set a clock"], drawn: ["crash a cell"] })).toBe(
      'npx node test/simulation/run.ts --runs 1 --seed 9 --draw "crash a cell" --without "bad weather, set a clock" --verbose',
    );
  });

  it("of run.ts and of the mutations: wrong is one line and exit code 2, --help is help", () => {
    const simulation = "test/simulation/run.ts";
    const mutation = "test/mutation/run.ts";
    expect(run(simulation, ["--seed", "abc"])).toEqual({
      status: 2,
      stdout: "",
      stderr: "--seed abc: must be a whole number from 0 to 4294967295 (see --help)\n",
    });
    expect(run(mutation, ["--only", "nope"])).toEqual({
      status: 2,
      stdout: "",
      stderr: "--only nope: is no mutation; docs/mutations.md names them (see --help)\n",
    });
    expect(run(simulation, ["--help"])).toEqual({ status: 0, stdout: `${help}\n`, stderr: "" });
  });
});

describe("a run without some kinds of faults", () => {
  /** It has one of each list: a gateway is cut from a cell, clocks are set, a write is refused. */
  const seed = 87;

  it("has the others of that run, when they were", () => {
    const all = simulate({ seed }).faults;
    expect(new Set(all.map(({ kind }) => kind)).size).toBeGreaterThan(2);
    for (const { kind } of all) {
      expect(simulate({ seed, without: [kind] }).faults).toEqual(all.filter((fault) => fault.kind !== kind));
    }
  });

  it("has none without all of them, and nothing goes wrong", () => {
    const { faults, violations } = simulate({
      seed,
      without: allKinds,
    });
    expect({ faults, violations }).toEqual({ faults: [], violations: [] });
  });
});
