import { expect, it } from "vitest";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { keptQuestion, keptRecord, parseKept } from "../../../cluster/backhaul/kept.ts";

it("what is kept is read as it was said", () => {
  const kept = { boot: "0n7xk 2", count: 4_294_967_296 };
  expect(parseKept(keptRecord(kept))).toEqual(kept);
});

it.each(["", "7", " boot", "x boot", "1.5 boot", "1e99 boot"])("%j says nothing of it", (key) => {
  expect(parseKept({ ...keptQuestion, key })).toBeUndefined();
});

it("nor does a record of another kind", () => {
  expect(parseKept({ ...keptRecord({ boot: "b", count: 1 }), kind: RecordKind.send })).toBeUndefined();
});
