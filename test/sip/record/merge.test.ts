import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { callIdsPerBindingMax } from "../../../sip/limits.ts";
import type { Held } from "../../../sip/record/kind-definition.ts";
import { merge } from "../../../sip/record/merge.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import { recordKinds } from "../../../sip/record/record-kinds.ts";
import type { StateRecord } from "../../../sip/record/state-record.ts";
import { bindingRecord, bindingTombstone, dialogRecord, invite, recordsArbitrary, side, version } from "./records.ts";

function heldAfter(records: readonly StateRecord[]): Held | undefined {
  let held: Held | undefined;
  for (const record of records) held = merge(held, record);
  return held;
}

function tableAfter(records: readonly StateRecord[]): unknown[] {
  const store = new RecordStore();
  for (const record of records) store.apply(record);
  return store
    .changedSince(0, 1_000, true)
    .records.map((record) => JSON.stringify(record))
    .toSorted();
}

function liveOf(store: RecordStore): unknown {
  return recordKinds.map((kind) => [...store.records(kind)].map((record) => JSON.stringify(record)).toSorted());
}

describe("merging", () => {
  it("gives the same table in any order and with any repeats", () => {
    const cases = recordsArbitrary.chain((records) =>
      fc.tuple(
        fc.constant(records),
        fc.shuffledSubarray([...records, ...records, ...records], { minLength: records.length * 3 }),
        fc.integer({ min: 0, max: records.length * 3 }),
      ),
    );
    fc.assert(
      fc.property(cases, ([records, shuffled]) => {
        expect(tableAfter(shuffled)).toEqual(tableAfter(records));
      }),
      { numRuns: 500 },
    );
  });

  it("gives two replicas the same table when they tell each other what they hold, however their histories were split", () => {
    fc.assert(
      fc.property(recordsArbitrary, fc.infiniteStream(fc.boolean()), (records, coin) => {
        const one = new RecordStore();
        const two = new RecordStore();
        for (const record of records) {
          const toOne = coin.next().value;
          (toOne ? one : two).apply(record);
        }
        const told = one.changedSince(0, 1_000, true).records;
        for (const record of two.changedSince(0, 1_000, true).records) one.apply(record, "peer");
        for (const record of told) two.apply(record, "peer");
        expect(liveOf(one)).toEqual(liveOf(two));
      }),
      { numRuns: 300 },
    );
  });

  it("tells whether anything has changed", () => {
    fc.assert(
      fc.property(recordsArbitrary, (records) => {
        const store = new RecordStore();
        for (const record of records) {
          const before = JSON.stringify(store.get(record.kind, record.key));
          expect(store.apply(record)).toBe(JSON.stringify(store.get(record.kind, record.key)) !== before);
          expect(store.apply(record)).toBe(false);
        }
      }),
    );
  });
});

describe("merging INVITEs in progress", () => {
  it("takes the later version, whichever comes first", () => {
    const earlier: StateRecord = { kind: "invite", key: "i", version: version(1, "b"), value: { ...invite, lastStatus: 100 } };
    const later: StateRecord = { kind: "invite", key: "i", version: version(2, "a"), value: { ...invite, lastStatus: 180 } };
    expect(heldAfter([earlier, later])?.record).toBe(later);
    expect(heldAfter([later, earlier])?.record).toBe(later);
  });
});

describe("merging bindings", () => {
  it("[RFC3261 10.3 7] takes the higher CSeq of a Call-ID, whatever the clocks say", () => {
    const higher = bindingRecord(version(1, "a"), { callId: "x", cSeq: 5 });
    const lower = bindingRecord(version(9, "b"), { callId: "x", cSeq: 4 });
    expect(heldAfter([higher, lower])?.record).toBe(higher);
    expect(heldAfter([lower, higher])?.record).toBe(higher);
  });

  it("[RFC3261 10.3 7] takes the later change between two Call-IDs, and within one CSeq", () => {
    const first = bindingRecord(version(1), { callId: "x", cSeq: 50 });
    const restarted = bindingRecord(version(2), { callId: "y", cSeq: 1 });
    const flowLost = bindingRecord(version(3), { callId: "y", cSeq: 1, flow: "" });
    expect(heldAfter([restarted, first])?.record).toBe(restarted);
    expect(heldAfter([flowLost, first, restarted])?.record).toBe(flowLost);
  });

  it("keeps what is unregistered unregistered when an older REGISTER comes later, at the other replica too", () => {
    const removed = bindingTombstone(version(2, "a"), "x", 5);
    const late = bindingRecord(version(3, "b"), { callId: "x", cSeq: 4 });
    expect(heldAfter([late, removed])?.record).toBe(removed);
    expect(heldAfter([removed, late])?.record).toBe(removed);
  });

  it("lets a phone that came back elsewhere win over the loss of its old flow", () => {
    const cameBack = bindingRecord(version(2, "b"), { callId: "x", cSeq: 6 });
    const lost = bindingTombstone(version(3, "a"), "x", 5);
    expect(heldAfter([cameBack, lost])?.record).toBe(cameBack);
  });

  it("finds the same winner where CSeq and versions go in a circle", () => {
    const x5 = bindingRecord(version(1), { callId: "x", cSeq: 5 });
    const y1 = bindingRecord(version(2), { callId: "y", cSeq: 1 });
    const x4 = bindingRecord(version(3), { callId: "x", cSeq: 4 });
    const orders = [
      [x5, y1, x4],
      [x5, x4, y1],
      [y1, x4, x5],
      [y1, x5, x4],
      [x4, x5, y1],
      [x4, y1, x5],
    ];
    for (const order of orders) expect(heldAfter(order)?.record).toBe(y1);
  });

  it("remembers a bounded number of Call-IDs, the latest ones", () => {
    let held: Held | undefined;
    for (let at = 1; at <= 1_000; at += 1) held = merge(held, bindingRecord(version(at), { callId: `call-${at}` }));
    expect(held?.others).toHaveLength(callIdsPerBindingMax - 1);
    expect(held?.record.version).toBe(version(1_000));
  });
});

describe("merging dialogs", () => {
  it("has the caller of who knows how the call began, where another replica took the callee for him", () => {
    const call = { start: 900, cells: ["a"], gateways: ["g1"], failovers: 0 };
    const known = dialogRecord(version(5, "a"), { call });
    const turned = dialogRecord(version(6, "b"), {
      caller: side("bob", { cSeq: 7, version: version(6, "b") }),
      callee: side("alice", { contact: "sip:alice@elsewhere", version: version(6, "b") }),
      createdAt: 2_000,
    });
    for (const order of [
      [known, turned],
      [turned, known],
    ]) {
      expect(heldAfter(order)?.record.value).toMatchObject({ caller: { tag: "alice" }, callee: { tag: "bob", cSeq: 7 }, call });
    }
  });

  it("takes each side's CSeq apart", () => {
    const callerMoved = dialogRecord(version(5, "a"), {
      caller: side("alice", { cSeq: 4, version: version(5, "a"), contact: "sip:new-a" }),
    });
    const calleeMoved = dialogRecord(version(6, "b"), { callee: side("bob", { cSeq: 9, version: version(6, "b"), contact: "sip:new-b" }) });
    for (const order of [
      [callerMoved, calleeMoved],
      [calleeMoved, callerMoved],
    ]) {
      const record = heldAfter(order)?.record;
      expect(record?.kind === "dialog" && [record.value?.caller.contact, record.value?.callee.contact]).toEqual(["sip:new-a", "sip:new-b"]);
      expect(record?.version).toBe(version(6, "b"));
    }
  });

  it("never brings back what has ended", () => {
    const alive = dialogRecord(version(9));
    const ended: StateRecord = { kind: "dialog", key: alive.key, version: version(2), value: undefined, until: 5, callId: "", cSeq: 0 };
    expect(heldAfter([ended, alive])?.record).toBe(ended);
    expect(heldAfter([alive, ended])?.record).toBe(ended);
  });
});
