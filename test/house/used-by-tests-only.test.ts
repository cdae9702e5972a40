import { describe, expect, it } from "vitest";
import { codeOf, sourcesOf } from "./sources.ts";

/** Where what is offered has to be used by somebody who is no test. */
const checked = ["sip", "cluster", "actors", "schemas", "workers", "gateway"];
/** Who counts as a user. */
const users = [...checked, "kit", "cli", "bench"];

/** What only tests use, and why it is there all the same. */
const named: Readonly<Record<string, string>> = {
  reasonPhrase: "a part of the start line that nothing decides by",
};

/** What a file exports. Types are left out: knip finds those that nobody uses, and tests may name more of them. */
function exportsOf(code: string): string[] {
  return [...code.matchAll(/^export (?:async )?(?:function\*?|const|class) (\w+)/gm)].map((match) => match[1] ?? "");
}

/** Public methods, accessors and fields of a file's classes: oxfmt puts each of them at the second column. */
function membersOf(code: string): string[] {
  const members: string[] = [];
  for (const [body] of code.matchAll(/^(?:export )?(?:default )?(?:abstract )?class [\s\S]*?^\}/gm)) {
    for (const match of body.matchAll(
      /^ {2}(?:static |readonly |override |async |get |set |\*)*(\w+)(?:<[^\n]*>)?[(?:]| {2}(?:readonly )?(\w+) = /gm,
    )) {
      members.push(match[1] ?? match[2] ?? "");
    }
  }
  return members.filter((name) => name !== "constructor" && name !== "private");
}

describe("what the sources offer", () => {
  it("is used by more than tests", () => {
    const codes = new Map(users.flatMap(sourcesOf).map((file) => [file, codeOf(file)]));
    /** How often a word stands in all sources together. */
    const counts = new Map<string, number>();
    for (const code of codes.values()) {
      for (const [word] of code.matchAll(/[A-Za-z_]\w*/g)) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    const offers = [...codes]
      .filter(([file]) => checked.some((room) => file.startsWith(`${room}/`)))
      .flatMap(([file, code]) => [...exportsOf(code), ...membersOf(code)].map((name) => ({ file, name })));
    /** A class and its interface, or two classes of one contract, declare the same name. */
    const declared = new Map<string, number>();
    for (const { name } of offers) declared.set(name, (declared.get(name) ?? 0) + 1);
    const unused = offers.filter(({ name }) => (counts.get(name) ?? 0) <= (declared.get(name) ?? 0));
    const unnamed = unused.filter(({ name }) => named[name] === undefined);
    expect(unnamed.map(({ file, name }) => `${file}: only tests use ${name}`)).toEqual([]);
    expect(Object.keys(named).filter((name) => !unused.some((each) => each.name === name))).toEqual([]);
  });
});
