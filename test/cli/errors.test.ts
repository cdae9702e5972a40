import { expect, test } from "vitest";
import { reasonOf } from "../../cli/errors.ts";

test.each([
  [
    Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" }),
    "the disk is full: make room where the state directory lies, then try again",
  ],
  [new Error("one\n  two "), "one two"],
  ["a text", "a text"],
])("%s is one line that says what to do", (thrown, text) => {
  expect(reasonOf(thrown)).toBe(text);
});
