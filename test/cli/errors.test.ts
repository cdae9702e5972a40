import { expect, test } from "vitest";
import { runCommand } from "./captured-io.ts";
import { printable, reasonOf } from "../../cli/errors.ts";

test.each([
  [
    Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" }),
    "the disk is full: make room where the state directory lies, then try again",
  ],
  [new Error("one\n  two "), "one two"],
  [new Error("ENOENT: no such file or directory, open '/no/such'"), "no such file or directory"],
  [new Error("connect ECONNREFUSED 127.0.0.1:1"), "connect ECONNREFUSED 127.0.0.1:1"],
  ["a text", "a text"],
])("%s is one line that says what to do", (thrown, text) => {
  expect(reasonOf(thrown)).toBe(text);
});

test("a text of somebody else has no control characters and line ends on a terminal", () => {
  expect(printable("ok\u001b]0;x\u0007\u001b[2J\nHost a: \u009b31mfine\u007f\u2028\r \u00e9 \u{1f600}")).toBe(
    "ok?]0;x??[2J?Host a: ?31mfine??? \u00e9 \u{1f600}",
  );
});

test("a text of somebody else cannot turn the order of a line, or hide in it", () => {
  expect(printable("g1\u202eexe.\u2066\u200b\ufeff")).toBe("g1?exe.???");
});

test("a command that fails writes no control character of what it was told", async () => {
  expect(await runCommand(["host\u001b[2J"])).toMatchObject({ code: 2, err: "tandem: unknown command host?[2J (see tandem --help)\n" });
});
