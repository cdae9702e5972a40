import { beforeEach, describe, expect, it } from "vitest";
import { LineCouriers } from "../../../actors/exchange/line-couriers.ts";
import { frameAnswerMsMax, lineQueueRecordsMax } from "../../../actors/limits.ts";
import { encodeFrame, RecordKind, type Frame, type FrameRecord } from "../../../cluster/backhaul/frame.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { frameOf } from "./actor-world.ts";
import { TestPhone } from "./harness.ts";

type Carried = { readonly frame: Frame; readonly done: (answer: Uint8Array | undefined, now: number) => void };

const carol = new TestPhone("carol", "198.51.100.9", 5060, "WS");
const accepted = encodeFrame(0, 0, []);

describe("couriers to lines", () => {
  let couriers: LineCouriers;
  /** What the clock says when a line answers. */
  let now = 0;
  const carried: Carried[] = [];
  const returned: string[][] = [];
  const unreachable: string[][] = [];
  const thrown: unknown[] = [];

  beforeEach(() => {
    for (const list of [carried, returned, unreachable, thrown]) list.length = 0;
    couriers = new LineCouriers({
      lines: { bring: (_access, frame, done) => carried.push({ frame: frameOf(frame), done: (answer, at) => ((now = at), done(answer)) }) },
      now: () => now,
      returned: (_access, records) => returned.push(namesOf(records)),
      unreachable: (_access, records) => unreachable.push(namesOf(records)),
      threw: (error) => thrown.push(error),
    });
  });

  it("have one frame under way to a line, and bring together what comes meanwhile", () => {
    for (const name of ["one", "two", "three"]) couriers.send("a.0", [record(name)], 0);
    couriers.send("a.1", [record("other")], 0);
    expect(carried.map(({ frame }) => namesOf(frame.records))).toEqual([["one"], ["other"]]);
    carried[0]?.done(accepted, 1);
    expect(namesOf(carried[2]?.frame.records ?? [])).toEqual(["two", "three"]);
    expect([couriers.isIdle("a.0"), couriers.isIdle("a.1")]).toEqual([false, false]);
    for (const { done } of carried.slice(1)) done(accepted, 2);
    expect([couriers.isIdle("a.0"), couriers.isIdle("a.1"), carried.length]).toEqual([true, true, 3]);
  });

  it("give back what a line does not deliver, and what does not reach it", () => {
    couriers.send("a.0", [record("one"), record("two")], 0);
    carried[0]?.done(encodeFrame(0, 0, [record("two")]), 1);
    couriers.send("a.0", [record("three")], 1);
    carried[1]?.done(undefined, 2);
    couriers.send("a.0", [record("four")], 2);
    carried[2]?.done(octetsOf("no frame"), 3);
    expect([returned, unreachable]).toEqual([[["two"]], [["three"], ["four"]]]);
  });

  it(`bring no new request that has waited for ${frameAnswerMsMax} ms, but what belongs to an earlier one`, () => {
    couriers.send("a.0", [record("one")], 0);
    const invite = { kind: RecordKind.send, key: carol.key, octets: octetsOf(carol.request("INVITE", "sip:bob@example.test")) };
    couriers.send("a.0", [invite, record("two")], 10);
    carried[0]?.done(undefined, 10 + frameAnswerMsMax);
    expect(unreachable.map(([name]) => name?.slice(0, 6))).toEqual(["one", "INVITE"]);
    expect(namesOf(carried[1]?.frame.records ?? [])).toEqual(["two"]);
  });

  it(`take ${lineQueueRecordsMax} records for a line while one frame is under way`, () => {
    couriers.send("a.0", [record("first")], 0);
    const many = Array.from({ length: lineQueueRecordsMax }, () => record("one"));
    expect(couriers.send("a.0", many, 0)).toBe(true);
    expect(couriers.send("a.0", [record("one more")], 0)).toBe(false);
    expect(couriers.send("a.1", [record("of another line")], 0)).toBe(true);
  });

  it("go on behind a record of which no frame can be made", () => {
    couriers.send("a.0", [{ ...record("broken"), key: "k".repeat(256) }], 0);
    expect([unreachable, thrown.length, couriers.isIdle("a.0")]).toEqual([[["broken"]], 1, true]);
    couriers.send("a.0", [record("one")], 0);
    expect(carried).toHaveLength(1);
  });
});

/** A response, which is wanted however late it is. */
function record(name: string): FrameRecord {
  return { kind: RecordKind.send, key: carol.key, octets: octetsOf(name) };
}

function namesOf(records: readonly FrameRecord[]): string[] {
  return records.map(({ octets }) => stringOf(octets));
}
