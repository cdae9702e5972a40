import { expect, it } from "vitest";
import { KeptCounts } from "../../../actors/exchange/kept-counts.ts";
import { RecordKind, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { parseKept } from "../../../cluster/backhaul/kept.ts";

const none = new Uint8Array(0);
const hello: FrameRecord = { kind: RecordKind.hello, key: "a.0", octets: none };
const said: FrameRecord = { kind: RecordKind.message, key: "p", octets: none };

function countOf(counts: KeptCounts, line: string): number | undefined {
  return parseKept(counts.recordFor(line))?.count;
}

it("counts what each line has said and is kept", () => {
  const counts = new KeptCounts("boot");
  expect(parseKept(counts.recordFor("a.0"))).toEqual({ boot: "boot", count: 0 });
  const first = counts.take("a.0", [said, said]);
  const second = counts.take("a.0", [said]);
  counts.take("a.1", [said]);
  expect(countOf(counts, "a.0")).toBe(0);
  second();
  first();
  expect([countOf(counts, "a.0"), countOf(counts, "a.1")]).toEqual([3, 0]);
});

it("counts anew from a hello on: what was said before says nothing of it", () => {
  const counts = new KeptCounts("boot");
  const before = counts.take("a.0", [said, said]);
  counts.take("a.0", [hello])();
  const kept = counts.take("a.0", [said]);
  before();
  expect(countOf(counts, "a.0")).toBe(0);
  kept();
  expect(countOf(counts, "a.0")).toBe(1);
});
