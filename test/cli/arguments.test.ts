import { describe, expect, it } from "vitest";
import { helpOf, overviewOf, parseArguments, type CommandSpec } from "../../cli/arguments.ts";
import { commandSpecs } from "../../cli/command-specs.ts";

const spec: CommandSpec = {
  name: "try",
  summary: "Tries.",
  positionals: ["AOR", "[FILE]"],
  options: [
    { name: "sip", value: "HOST:PORT", help: "where" },
    { name: "json", help: "how" },
  ],
};

describe("parseArguments", () => {
  it("takes values, flags and positionals in any order", () => {
    const args = parseArguments(spec, ["--json", "alice", "--sip", "a:1", "file"]);
    expect(args.positionals).toEqual(["alice", "file"]);
    expect([...args.values]).toEqual([["sip", "a:1"]]);
    expect([...args.flags]).toEqual(["json"]);
  });

  it("takes a value after = whatever it looks like, and a lone - as a value", () => {
    expect(parseArguments(spec, ["a", "--sip=--x"]).values.get("sip")).toBe("--x");
    expect(parseArguments(spec, ["a", "--sip", "-"]).values.get("sip")).toBe("-");
  });

  it("takes any number of the last positional where it says so", () => {
    const many = { ...spec, positionals: ["[CELL...]"] };
    expect(parseArguments(many, ["a", "b", "c"]).positionals).toEqual(["a", "b", "c"]);
    expect(parseArguments(many, []).positionals).toEqual([]);
  });

  it("takes what follows -- as positionals", () => {
    expect(parseArguments(spec, ["--", "--json"]).positionals).toEqual(["--json"]);
  });

  it.each([
    [["a", "--foo"], "unknown option --foo (see tandem try --help)"],
    [["a", "-j"], "unknown option -j (see tandem try --help)"],
    [["a", "--no-json"], "unknown option --no-json (see tandem try --help)"],
    [["a", "--sip"], "--sip needs a value: --sip HOST:PORT (see tandem try --help)"],
    [["a", "--sip", "--json"], "--sip needs a value: --sip HOST:PORT (see tandem try --help)"],
    [["a", "--sip="], "--sip needs a value: --sip HOST:PORT (see tandem try --help)"],
    [["a", "--json=1"], "--json takes no value (see tandem try --help)"],
    [["a", "--json", "--json"], "--json is given twice (see tandem try --help)"],
    [["a", "b", "c"], 'unexpected argument "c" (see tandem try --help)'],
    [["--json"], "AOR is missing (see tandem try --help)"],
  ])("refuses %j with one line", (args, line) => {
    expect(() => parseArguments(spec, args)).toThrow(expect.objectContaining({ name: "UsageError", message: line }));
  });

  it("asks for nothing when help is wanted", () => {
    expect(parseArguments(spec, ["--help"]).help).toBe(true);
    expect(parseArguments(spec, ["-h"]).help).toBe(true);
  });
});

describe("help", () => {
  it("is aligned and says what there is", () => {
    expect(helpOf(spec)).toBe(`Usage: tandem try AOR [FILE] [options]

Tries.

  --sip HOST:PORT  where
  --json           how
  --help           show this
`);
  });

  it("lists all commands, or those of a group", () => {
    expect(overviewOf(commandSpecs)).toContain(
      "\n  subscriber import FILE.csv  Adds the subscribers of a CSV file, own or of Kamailio or FreePBX.\n",
    );
    expect(overviewOf(commandSpecs, "subscriber")).not.toContain("registrations");
    const names = commandSpecs.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
  });

  it("fits into 100 columns", () => {
    const texts = [overviewOf(commandSpecs), ...commandSpecs.map(helpOf)];
    expect(texts.flatMap((text) => text.split("\n")).filter((line) => line.length > 100)).toEqual([]);
  });
});
