import { expect, it } from "vitest";
import { lastWordsText } from "../../cli/last-words.ts";

it.each([
  ["2026-11-30T08:00:00.000Z gateway g1 backhaul-down cell=a exchange=0", "backhaul-down cell=a exchange=0"],
  ["2026-11-30T08:00:00.000Z cell a: map 25 of cell a", "map 25 of cell a"],
  ["cell a: it gave up", "it gave up"],
  ["workerd: a complaint", "workerd: a complaint"],
  ['{"time":"2026-11-30T08:00:00.000Z","gateway":"g1","event":"shed","refused":4211,"why":"late"}', "shed refused=4211 why=late"],
  ['{"time":"2026-11-30T08:00:00.000Z","gateway":"g1","event":"control-down","cell":"a","reason":"connec', "control-down cell=a"],
  ["{no JSON", "{no JSON"],
  ["", ""],
])("shows %s as %s", (said, shown) => {
  expect(lastWordsText(said)).toBe(shown);
});

it("cuts what is longer than its column, as hostile as it may be", () => {
  const long = lastWordsText("x".repeat(300));
  expect([long.length, long.at(-1)]).toEqual([60, "…"]);
  expect(lastWordsText(`{"a":"${"\\".repeat(299)}`).length).toBeLessThanOrEqual(60);
});
