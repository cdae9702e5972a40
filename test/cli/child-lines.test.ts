import { expect, it } from "vitest";
import { ChildLines, isWarning } from "../../cli/child-lines.ts";

const full =
  "workerd/io/io-context.c++:654: error: e = workerd/util/sqlite.c++:1827: failed: SQLite failed; dbErrorMessage(err, db) = database or disk is full: SQLITE_FULL; sentryErrorContext = jsgInternalError";

it("shows what a process says, but no stacks of the runtime, nor the same complaint within a minute", () => {
  const lines = new ChildLines();
  expect(lines.shown("cell a: view 3", 0)).toBe("cell a: view 3");
  expect(lines.shown("cell a: view 3", 1)).toBe("cell a: view 3");
  expect(lines.shown("  ", 1)).toBeUndefined();
  expect(lines.shown("stack: /workerd@454e7c7 /workerd@4560635; sentryErrorContext = x", 2)).toBeUndefined();
  const shown = "workerd: failed: SQLite failed; dbErrorMessage(err, db) = database or disk is full: SQLITE_FULL";
  expect(lines.shown(full, 3)).toBe(shown);
  expect(lines.shown(full, 59_000)).toBeUndefined();
  expect(lines.shown(full, 61_000)).toBe(shown);
  // The cell's own question: its answer is said by the cell.
  expect(
    lines.shown("workerd/jsg/util.c++:320: error: e = rust/worker/ffi.rs:104: overloaded: No space left on device (os error 28)", 4),
  ).toBe(undefined);
  // What the supervisor and the cells say in words of their own.
  for (const lost of [
    "workerd/io/io-context.c++:654: info: uncaught exception; source = Uncaught (in promise); stack = Error: Network connection lost.",
    "workerd/server/server.c++:1: error: e = rust/worker/ffi.rs:104: disconnected: Connection refused (os error 111)",
  ]) {
    expect(lines.shown(lost, 4)).toBeUndefined();
  }
  expect(
    lines.shown(
      "workerd/io/actor-sqlite.c++:9: info: NOSENTRY SQLite alarm handler canceled with requestScheduledAlarm.; actorId = 0cc",
      4,
    ),
  ).toBeUndefined();
});

it("forgets kinds of complaints when there are very many", () => {
  const lines = new ChildLines();
  for (let kind = 0; kind < 1_000; kind += 1)
    expect(lines.shown(`workerd/x.c++:1: error: number ${kind}`, 0)).toBe(`workerd: number ${kind}`);
  expect(lines.shown("workerd/x.c++:1: error: number 999", 1)).toBeUndefined();
});

it.each([
  ["invite_log: 2 rows are of format 3, this release reads 2: left as they are; start the later release", true],
  ["cell a: the disk is full: registrations and other changes are refused", true],
  ["2026-11-29T17:00:00.000Z gateway g1 native-missing reason=no such file", true],
  ["2026-11-29T17:00:00.000Z gateway g1 control-down cell=b reason=connection refused", false],
  ["2026-11-29T17:00:00.000Z gateway g1 backhaul-up exchange=0 cell=a", false],
  ["workerd: something only its developers know", false],
])("knows what is a warning for people: %s", (line, isOne) => {
  expect(isWarning(line)).toBe(isOne);
});
