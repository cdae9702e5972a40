import { expect, it } from "vitest";
import { unkeptOctetsMax, unkeptRecordsMax } from "../../../actors/limits.ts";
import { Unkept } from "../../../actors/line/unkept.ts";
import { backhaulQueueOctetsMax } from "../../../cluster/limits.ts";
import { RecordKind, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { keptQuestion } from "../../../cluster/backhaul/kept.ts";

const none = new Uint8Array(0);

function said(key: string): FrameRecord {
  return { kind: RecordKind.message, key, octets: none };
}

/** One to which these were offered, and its replica has spoken. */
function withOffered(keys: string, max = 100, octetsMax = 10_000): Unkept {
  const unkept = new Unkept(max, octetsMax);
  unkept.connected(0);
  unkept.told({ boot: "first", count: 0 }, 0);
  for (const key of keys) unkept.offered(said(key), 0);
  return unkept;
}

function keysOf(records: readonly FrameRecord[]): string {
  return records.map(({ key }) => key).join("");
}

it("forgets what is kept", () => {
  const unkept = withOffered("abc");
  expect(unkept.told({ boot: "first", count: 2 }, 1)).toEqual([]);
  expect(unkept.isEmpty).toBe(false);
  expect(unkept.told({ boot: "first", count: 3 }, 3)).toEqual([]);
  expect(unkept.isEmpty).toBe(true);
});

it("gives back what a replica had answered for and has lost, and counts what the new start was given", () => {
  const unkept = withOffered("abcd");
  unkept.told({ boot: "first", count: 1 }, 1);
  // b and c were answered for by the first start; d is the first that the second one has had.
  expect(keysOf(unkept.told({ boot: "second", count: 0 }, 3))).toBe("bc");
  for (const key of "bc") unkept.offered(said(key), 4);
  unkept.told({ boot: "second", count: 1 }, 4);
  expect(keysOf(unkept.takeAll(4))).toBe("bc");
});

it("gives back a record once: it may be what the replica dies of", () => {
  const unkept = withOffered("");
  const record = said("a");
  unkept.offered(record, 0);
  expect(unkept.told({ boot: "second", count: 0 }, 1)).toEqual([record]);
  unkept.offered(record, 1);
  expect(unkept.told({ boot: "third", count: 0 }, 2)).toEqual([]);
});

it("gives back no question, and no takeover that was answered for", () => {
  const takeover = { kind: RecordKind.takeover, key: "t", octets: none };
  const unkept = withOffered("");
  for (const record of [takeover, said("a"), keptQuestion, takeover]) unkept.offered(record, 0);
  expect(keysOf(unkept.takeAll(3))).toBe("at");
});

it("begins to count with a connection", () => {
  const unkept = withOffered("abc");
  expect(keysOf(unkept.takeAll(1))).toBe("abc");
  unkept.connected(3);
  for (const key of "de") unkept.offered(said(key), 3);
  unkept.told({ boot: "first", count: 1 }, 3);
  expect(keysOf(unkept.takeAll(4))).toBe("e");
});

it("believes a replica that says nothing, for what it has answered for", () => {
  const unkept = withOffered("abc");
  unkept.believe(2);
  expect(keysOf(unkept.takeAll(2))).toBe("c");
});

it("forgets the oldest over its bound, but nothing that is not answered for", () => {
  const unkept = withOffered("abc", 2);
  unkept.offered(said("d"), 2);
  expect(keysOf(unkept.takeAll(2))).toBe("cd");
});

it("forgets as many of the oldest as the new one's octets need, but nothing that is not answered for", () => {
  const unkept = withOffered("abcd", 100, 40);
  // Each has seven octets on the wire, and this one thirteen.
  unkept.offered(said("longkey"), 3);
  expect(unkept.octets).toBe(34);
  expect(keysOf(unkept.takeAll(3))).toBe("bcdlongkey");
  expect(unkept.octets).toBe(0);
});

it("holds no more octets of what is answered, but not said to be kept, than the queue of its link", () => {
  const unkept = new Unkept(unkeptRecordsMax, unkeptOctetsMax);
  unkept.connected(0);
  const octets = new Uint8Array(60_000);
  for (let n = 0; n < unkeptRecordsMax; n += 1) unkept.offered({ kind: RecordKind.message, key: "k", octets }, n);
  expect(unkept.octets).toBeLessThanOrEqual(backhaulQueueOctetsMax);
  expect(unkept.octets).toBeGreaterThan(backhaulQueueOctetsMax - 2 * octets.length);
});

it("keeps all that nobody has answered for, which the link's queue bounds, and then nothing else", () => {
  const unkept = new Unkept(2, 100);
  unkept.connected(0);
  for (const key of "abcdefghij") unkept.offered(said(key), 0);
  unkept.offered(said("k"), 3);
  expect(keysOf(unkept.takeAll(3))).toBe("defghijk");
});
