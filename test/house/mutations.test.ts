import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { listOf } from "../mutation/list.ts";
import { mutations } from "../mutation/mutations.ts";
import { help, parseSettings } from "../mutation/settings.ts";
import { mutate, readSources, root } from "../mutation/sources.ts";

/** The mutations themselves take minutes: `npm run mutate`. What can be known without them is kept here. */
describe("the mutations", () => {
  it("each break a rule that stands in the sources exactly once; where it was moved or reworded, so must be test/mutation", () => {
    const sources = readSources();
    expect(mutations.map((mutation) => mutate(sources, mutation)).filter((mutant) => typeof mutant === "string")).toEqual([]);
  });

  it("have names of their own, and tests that are there", () => {
    expect(new Set(mutations.map(({ name }) => name)).size).toBe(mutations.length);
    expect(mutations.flatMap(({ tests }) => tests).filter((test) => !existsSync(join(root, test)))).toEqual([]);
  });

  it("stand in docs/mutations.md as `npm run mutate -- --list` writes them", () => {
    expect(readFileSync(join(root, "docs", "mutations.md"), "utf8")).toBe(listOf(mutations));
  });

  it("are asked for by name; what does not fit is refused before anything is broken", () => {
    expect(parseSettings([])).toEqual({ wanted: mutations, isList: false });
    expect(parseSettings(["--only", "no-timer-a", "--only", "no-timer-c"])?.wanted.map(({ name }) => name)).toEqual([
      "no-timer-a",
      "no-timer-c",
    ]);
    expect(parseSettings(["--help"])).toBeUndefined();
    expect(help).toMatch(/^Usage: npm run mutate -- \[options\]\n/);
    expect(() => parseSettings(["--only", "nope"])).toThrow("--only nope: is no mutation; docs/mutations.md names them");
    expect(() => parseSettings(["--quick"])).toThrow("--quick: is not known");
  });
});
