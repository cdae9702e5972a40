import { describe, expect, it } from "vitest";
import { codeOf, sourcesOf } from "./sources.ts";

/** What waits for a time and for nothing else. A timer that ends the wait for an event is another thing. */
const sleeps = [
  /new Promise(?:<\w+>)?\(\(?(\w+)\)? => (?:\{ )?(?:void )?setTimeout\(\1\b/,
  /\bawait (?:delay|setTimeout|sleep|scheduler\.wait)\(/,
];

/** Each of them looks at a condition again and again, or is a program that sends at a rate. */
const exceptions: Readonly<Record<string, string>> = {
  "test/house/no-fixed-sleep.test.ts": "says what is looked for",
  "test/system/junk.ts": "a load program: it sends for a time",
};

describe("a test", () => {
  it("waits for a condition, never for a time", () => {
    const sleeping = sourcesOf("test").filter((file) => sleeps.some((sleep) => sleep.test(codeOf(file))));
    expect(sleeping.filter((file) => exceptions[file] === undefined)).toEqual([]);
  });

  it("would be found sleeping", () => {
    for (const line of [
      "await new Promise((resolve) => setTimeout(resolve, 300));",
      "await new Promise<void>((done) => setTimeout(done, 1));",
      "await delay(20);",
    ]) {
      expect(sleeps.some((sleep) => sleep.test(line))).toBe(true);
    }
  });
});
