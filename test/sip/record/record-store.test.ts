import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bindingRecordsPerAddressOfRecordMax, bindingTombstoneMs, callTombstoneMs, dialogUnacknowledgedMs } from "../../../sip/limits.ts";
import { RecordStore, type Rows } from "../../../sip/record/record-store.ts";
import { serializeRecord } from "../../../sip/record/record-text.ts";
import { orderOf } from "../../../sip/record/binding-record.ts";
import type { StateRecord } from "../../../sip/record/state-record.ts";
import { makeTombstone } from "../../../sip/record/tombstone.ts";
import { bindingRecord, bindingTombstone, dialogRecord, invite, recordsArbitrary, version } from "./records.ts";
import { cpuMs } from "../cpu-time.ts";

function keysOf(rows: Rows): unknown {
  return { put: rows.put.map((record) => record.version), remove: rows.remove.map(({ key }) => key) };
}

function endOf(record: StateRecord, ms: number): StateRecord {
  return makeTombstone(record.kind, record.key, version(ms), ms);
}

function allOf(store: RecordStore): string[] {
  return store
    .changedSince(0, 1_000, true)
    .records.map((record) => JSON.stringify(record))
    .toSorted();
}

describe("looking up", () => {
  it("finds the bindings of an address-of-record among 10 000 without looking at the others", () => {
    const store = new RecordStore();
    for (let n = 0; n < 10_000; n += 1) {
      const addressOfRecord = `user${n}@example.test`;
      store.apply(
        bindingRecord(version(n + 1), { addressOfRecord, flow: `g1~t0.c${n}.c000020413c4` }, `${addressOfRecord} sip:u@192.0.2.4`),
      );
    }
    const started = cpuMs();
    for (let n = 0; n < 10_000; n += 1) expect(store.bindingsOf(`user${n}@example.test`).length).toBe(1);
    // A scan of the table each time would be 100 000 000 steps.
    expect(cpuMs() - started).toBeLessThan(2_000);
    expect(store.bindingsOnFlow("g1~t0.c77.c000020413c4").map((record) => record.value.addressOfRecord)).toEqual(["user77@example.test"]);
    expect(store.count("binding")).toBe(10_000);
  });

  it("follows a binding to another flow, and forgets the flow of a removed one", () => {
    const store = new RecordStore();
    store.apply(bindingRecord(version(1), { flow: "one" }));
    store.apply(bindingRecord(version(2), { flow: "two" }));
    expect(store.bindingsOnFlow("one")).toEqual([]);
    expect(store.bindingsOnFlow("two")).toHaveLength(1);
    store.apply(bindingTombstone(version(3), "call-1", 1));
    expect(store.bindingsOnFlow("two")).toEqual([]);
    expect(store.bindingsOf("bob@example.test")).toHaveLength(1);
    expect(store.binding("bob@example.test sip:bob@192.0.2.4")).toBeUndefined();
    expect(store.count("binding")).toBe(0);
  });

  it("counts what has not expired", () => {
    const store = new RecordStore();
    store.apply(bindingRecord(version(1), { expiresAt: 5_000 }));
    expect([store.registrationCount(4_999), store.registrationCount(5_000)]).toEqual([1, 0]);
  });

  it("bounds what one address-of-record can make us remember: the earliest removed binding goes", () => {
    const store = new RecordStore();
    for (let n = 0; n < 500; n += 1) {
      store.apply({ ...bindingTombstone(version(n + 1), "x", n), key: `bob@example.test sip:${n}@192.0.2.4` });
    }
    expect(store.bindingsOf("bob@example.test")).toHaveLength(bindingRecordsPerAddressOfRecordMax);
    expect(store.get("binding", "bob@example.test sip:499@192.0.2.4")).toBeDefined();
    expect(store.get("binding", "bob@example.test sip:0@192.0.2.4")).toBeUndefined();
  });
});

describe("records as text", () => {
  it("are as they stand, whoever has asked before: the peer, the disk, both, or neither", () => {
    const step = fc.record({
      origin: fc.constantFrom("local" as const, "peer" as const, "disk" as const),
      readers: fc.subarray(["asked", "peer", "disk"] as const),
      isFlushed: fc.boolean(),
    });
    fc.assert(
      fc.property(recordsArbitrary, fc.array(step, { minLength: 14, maxLength: 14 }), (records, steps) => {
        const store = new RecordStore({ isPaired: true });
        for (const [n, record] of records.entries()) {
          const { origin = "local", readers = [], isFlushed = false } = steps[n] ?? {};
          store.apply(record, origin);
          const toPeer = store.changedSince(0, 100, true).records;
          const toDisk = isFlushed ? store.takeDirty().put : [];
          const read = { asked: [record], peer: toPeer, disk: toDisk };
          for (const reader of readers) expect(read[reader].map((each) => store.textOf(each))).toEqual(read[reader].map(serializeRecord));
        }
      }),
    );
  });
});

describe("what the peer has not seen", () => {
  it("comes in the order of the last change, in chunks, without what came from the peer", () => {
    const store = new RecordStore();
    const dialogs = Array.from({ length: 10 }, (_, n) => ({ ...dialogRecord(version(n + 1)), key: `d${n}` }));
    for (const [n, record] of dialogs.entries()) store.apply(record, n === 4 ? "peer" : "local");
    store.apply({ ...dialogRecord(version(50), { expiresAt: 7 }), key: "d0" });
    const seen: string[] = [];
    let after = 0;
    for (;;) {
      const changes = store.changedSince(after, 3);
      seen.push(...changes.records.map(({ key }) => key));
      after = changes.sequence;
      if (!changes.more) break;
    }
    expect(seen).toEqual(["d1", "d2", "d3", "d5", "d6", "d7", "d8", "d9", "d0"]);
    expect(after).toBe(store.sequence);
    expect(store.changedSince(0, 100, true).records).toHaveLength(10);
    expect(store.changedSince(after, 100)).toEqual({ records: [], sequence: after, more: false });
  });

  it("reaches a replica completely by repeated tails, while changes go on", () => {
    fc.assert(
      fc.property(recordsArbitrary, recordsArbitrary, fc.integer({ min: 1, max: 4 }), (before, during, max) => {
        const store = new RecordStore();
        const replica = new RecordStore();
        for (const record of before) store.apply(record);
        let after = 0;
        const rest = [...during];
        for (;;) {
          const changes = store.changedSince(after, max, true);
          for (const record of changes.records) replica.apply(record, "peer");
          after = changes.sequence;
          const next = rest.shift();
          if (next !== undefined) store.apply(next);
          else if (!changes.more && after === store.sequence) break;
        }
        expect(allOf(replica)).toEqual(allOf(store));
      }),
    );
  });

  it("brings two replicas together that both serve: tails both ways, acknowledged or lost, while changes go on", () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant("change" as const), at: fc.integer({ min: 0, max: 1 }) }),
      fc.record({
        type: fc.constant("tail" as const),
        at: fc.integer({ min: 0, max: 1 }),
        max: fc.integer({ min: 1, max: 3 }),
        isLost: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(recordsArbitrary, fc.array(step, { maxLength: 40 }), (records, steps) => {
        const stores = [new RecordStore({ isPaired: true }), new RecordStore({ isPaired: true })] as const;
        const rest = [...records];
        const tail = (from: number, max: number, isLost: boolean): boolean => {
          const [store, other] = from === 0 ? stores : [stores[1], stores[0]];
          const changes = store.changedSince(store.acknowledged, max);
          for (const record of changes.records) other.apply(record, "peer");
          if (!isLost) store.acknowledge(changes.sequence);
          return changes.sequence < store.sequence;
        };
        for (const each of steps) {
          const record = each.type === "change" ? rest.shift() : undefined;
          if (record !== undefined) stores[each.at === 0 ? 0 : 1].apply(record);
          if (each.type === "tail") tail(each.at, each.max, each.isLost);
        }
        for (const record of rest) stores[0].apply(record);
        while (tail(0, 3, false) || tail(1, 3, false));
        expect(allOf(stores[0])).toEqual(allOf(stores[1]));
      }),
      { numRuns: 500 },
    );
  });

  it("is a binding without its earlier Call-IDs when the peer has those, and with them when it may not", () => {
    const store = new RecordStore({ isPaired: true });
    const callIdsSince = (after: number, all = false): string[] => {
      return store.changedSince(after, 10, all).records.map((record) => (record.kind === "binding" ? orderOf(record).callId : ""));
    };
    store.apply(bindingRecord(version(1), { callId: "x" }));
    store.apply(bindingRecord(version(2), { callId: "y" }));
    expect(callIdsSince(0).toSorted()).toEqual(["x", "y"]);
    store.acknowledge(store.sequence);
    const known = store.sequence;
    store.apply(bindingRecord(version(3), { callId: "z" }));
    expect(callIdsSince(known)).toEqual(["z"]);
    expect(callIdsSince(known - 1).toSorted()).toEqual(["x", "y", "z"]);
    expect(callIdsSince(known, true).toSorted()).toEqual(["x", "y", "z"]);
    store.apply(bindingRecord(version(4), { callId: "x", cSeq: 9 }));
    expect(callIdsSince(known).toSorted()).toEqual(["x", "y", "z"]);
  });

  it("is not searched from the beginning for a few changes", () => {
    const store = new RecordStore();
    for (let n = 0; n < 20_000; n += 1) store.apply({ ...dialogRecord(version(n + 1)), key: `d${n}` });
    const started = cpuMs();
    for (let n = 0; n < 5_000; n += 1) {
      const before = store.sequence;
      store.apply({ ...dialogRecord(version(30_000 + n), { expiresAt: n }), key: `d${n}` });
      expect(store.changedSince(before, 10).records.length).toBe(1);
    }
    expect(cpuMs() - started).toBeLessThan(2_000);
  });
});

describe("what the disk has not seen", () => {
  it("is taken once, the longest waiting first, at most as many as asked for", () => {
    const store = new RecordStore();
    for (let n = 0; n < 5; n += 1) store.apply({ ...dialogRecord(version(n + 1)), key: `d${n}` });
    expect(store.takeDirty(2).put.map(({ key }) => key)).toEqual(["d0", "d1"]);
    expect(store.hasDirty).toBe(true);
    expect(store.takeDirty().put.map(({ key }) => key)).toEqual(["d2", "d3", "d4"]);
    expect(store.hasDirty).toBe(false);
    expect(keysOf(store.takeDirty())).toEqual({ put: [], remove: [] });
  });

  it("has no call that came and went between two flushes, whether the peer knows it or not", () => {
    const store = new RecordStore({ isPaired: true });
    const call = dialogRecord(version(1));
    store.apply(call);
    store.changedSince(0, 10);
    store.apply(endOf(call, 2));
    expect(keysOf(store.takeDirty())).toEqual({ put: [], remove: [] });
  });

  it("deletes the row of a call that has ended, when the peer knows", () => {
    const store = new RecordStore({ isPaired: true });
    const call = dialogRecord(version(1));
    store.apply(call);
    store.takeDirty();
    store.apply(endOf(call, 2));
    store.acknowledge(store.changedSince(0, 10).sequence);
    expect(keysOf(store.takeDirty())).toEqual({ put: [], remove: [call.key] });
    store.sweep(10 * bindingTombstoneMs);
    expect(keysOf(store.takeDirty())).toEqual({ put: [], remove: [] });
  });

  it("keeps the end itself on disk while the peer does not know of it, and forgets it in the end", () => {
    const store = new RecordStore({ isPaired: true });
    const call = dialogRecord(version(1));
    store.apply(call);
    store.acknowledge(store.changedSince(0, 10).sequence);
    store.takeDirty();
    store.apply(endOf(call, 2));
    expect(keysOf(store.takeDirty())).toEqual({ put: [version(2)], remove: [] });
    store.sweep(10 * callTombstoneMs);
    expect(store.size).toBe(1);
    store.acknowledge(store.sequence);
    store.sweep(10 * callTombstoneMs);
    expect(store.size).toBe(0);
    expect(keysOf(store.takeDirty())).toEqual({ put: [], remove: [call.key] });
  });

  it("does not leave a row behind when a forgotten key comes and goes again", () => {
    const store = new RecordStore({ isPaired: true });
    store.acknowledge(Number.POSITIVE_INFINITY);
    const phone = bindingRecord(version(1), { expiresAt: 1_000 });
    store.apply(phone);
    store.takeDirty();
    store.sweep(1_000 + bindingTombstoneMs);
    store.apply(bindingRecord(version(9_000), { cSeq: 2 }));
    store.apply(bindingTombstone(version(9_001), "call-1", 3));
    expect(keysOf(store.takeDirty())).toEqual({ put: [version(9_001)], remove: [] });
    store.sweep(9_001 + 10 * bindingTombstoneMs);
    expect(keysOf(store.takeDirty())).toEqual({ put: [], remove: [phone.key] });
  });

  it("names each key once, so that rows can be deleted and replaced in any order", () => {
    const store = new RecordStore();
    store.apply(bindingRecord(version(1), { expiresAt: 1_000 }));
    store.takeDirty();
    store.sweep(1_000 + bindingTombstoneMs);
    store.apply(bindingRecord(version(9_000), { cSeq: 2, expiresAt: 10_000_000 }));
    expect(keysOf(store.takeDirty())).toEqual({ put: [version(9_000)], remove: [] });
  });

  it("[RFC3261 10.3] has every refresh of a binding: its expiry is what was promised last", () => {
    const store = new RecordStore();
    store.apply(bindingRecord(version(1), { expiresAt: 1_000_000 }));
    store.takeDirty();
    store.apply(bindingRecord(version(2), { expiresAt: 1_000_001, cSeq: 2 }));
    expect(keysOf(store.takeDirty())).toEqual({ put: [version(2)], remove: [] });
    store.apply(bindingRecord(version(2), { expiresAt: 1_000_001, cSeq: 2 }));
    expect(keysOf(store.takeDirty())).toEqual({ put: [], remove: [] });
  });

  it("says when a binding ends earlier than its row does, and is to be written at once", () => {
    const store = new RecordStore({ isPaired: true });
    const shortened = (record: StateRecord, origin: "local" | "peer" = "local"): boolean => {
      store.apply(record, origin);
      return store.takeShortened();
    };
    const lost = { ...bindingTombstone(version(9), "call-1", 7), isLost: true } as const;
    expect(shortened(bindingRecord(version(1), { expiresAt: 600_000 }))).toBe(false);
    // Nothing is on the disk yet.
    expect(shortened(bindingRecord(version(2), { cSeq: 2, expiresAt: 500_000 }))).toBe(false);
    store.takeDirty();
    expect(shortened(bindingRecord(version(3), { cSeq: 3, expiresAt: 900_000 }))).toBe(false);
    expect(shortened(bindingRecord(version(4), { cSeq: 4, expiresAt: 499_999 }), "peer")).toBe(true);
    expect(store.takeShortened()).toBe(false);
    store.takeDirty();
    expect(shortened(bindingTombstone(version(5), "call-1", 5))).toBe(true);
    store.takeDirty();
    expect(shortened(bindingRecord(version(6), { cSeq: 6 }))).toBe(false);
    store.takeDirty();
    expect(shortened(lost)).toBe(false);
  });

  it.each(["local", "peer"] as const)("says when an INVITE has ended that rings by the disk, and is to be written soon (%s)", (origin) => {
    const store = new RecordStore({ isPaired: true });
    const ringing = { kind: "invite", key: "i", version: version(1), value: invite } as const;
    store.apply(ringing);
    store.takeDirty();
    store.apply(endOf(ringing, 2), origin);
    expect(store.takeEndedInvite()).toBe(false);
    const other = { ...ringing, key: "other" };
    store.apply(other);
    store.setPeerAway(true);
    store.takeDirty();
    store.setPeerAway(false);
    store.apply(endOf(other, 2), origin);
    expect([store.takeEndedInvite(), store.takeEndedInvite()]).toEqual([true, false]);
    store.takeDirty();
    store.apply(endOf(other, 3), origin);
    expect(store.takeEndedInvite()).toBe(false);
  });

  it("forgets no phone and keeps none too long: what recovers from the rows alone has the expiry of the last flush", () => {
    const step = fc.record({
      at: fc.integer({ min: 1, max: 6_000_000 }),
      seconds: fc.constantFrom(60, 300, 600, 3_600),
      isFlushed: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
        const store = new RecordStore();
        const rows = new Map<string, StateRecord>();
        for (const [n, { at, seconds, isFlushed }] of steps.toSorted((first, second) => first.at - second.at).entries()) {
          store.apply(bindingRecord(version(n + 1), { cSeq: n + 1, registeredAt: at, expiresAt: at + seconds * 1_000 }));
          if (!isFlushed) continue;
          for (const record of store.takeDirty().put) rows.set(record.key, record);
          const recovered = new RecordStore();
          for (const row of rows.values()) recovered.apply(row, "disk");
          const [live] = store.records("binding");
          const [read] = recovered.records("binding");
          expect(read?.value).toEqual(live?.value);
          expect(keysOf(recovered.takeDirty())).toEqual({ put: [], remove: [] });
        }
      }),
    );
  });
});

describe("forgetting", () => {
  it("keeps the removal of a binding for twice the longest expiry", () => {
    const store = new RecordStore();
    store.apply(makeTombstone("binding", "bob@example.test x", version(1), 1_000, { callId: "x", cSeq: 1 }));
    store.sweep(1_000 + 7_200_000 - 1);
    expect(store.size).toBe(1);
    store.sweep(1_000 + 7_200_000);
    expect(store.size).toBe(0);
  });

  it("keeps an expired binding as long, for its Call-ID and CSeq", () => {
    const store = new RecordStore();
    store.apply(bindingRecord(version(1), { expiresAt: 5_000 }));
    store.sweep(5_000 + bindingTombstoneMs - 1);
    expect(store.bindingsOf("bob@example.test")).toHaveLength(1);
    store.sweep(5_000 + bindingTombstoneMs);
    expect(store.bindingsOf("bob@example.test")).toEqual([]);
    expect(store.bindingsOnFlow("g1~u0..c000020413c4")).toEqual([]);
  });

  it("keeps a removal that the peer has not heard of, however long it is away", () => {
    const store = new RecordStore({ isPaired: true });
    const phone = bindingRecord(version(1));
    store.apply(phone);
    store.acknowledge(store.changedSince(0, 10).sequence);
    store.apply(bindingTombstone(version(2), "call-1", 2, 10));
    store.sweep(100 * bindingTombstoneMs);
    expect(store.size).toBe(1);
    store.acknowledge(store.changedSince(1, 10).sequence);
    store.sweep(100 * bindingTombstoneMs);
    expect(store.size).toBe(0);
  });

  it("does not keep the ends of calls that the peer never heard of while it was away", () => {
    const store = new RecordStore({ isPaired: true });
    for (let n = 0; n < 1_000; n += 1) {
      const call = { ...dialogRecord(version(2 * n + 1)), key: `d${n}` };
      store.apply(call);
      store.apply(endOf(call, 2 * n + 2));
    }
    store.sweep(2_000 + callTombstoneMs);
    expect(store.size).toBe(0);
  });

  it("waits for nobody when there is no peer, after a restart either, and for a peer that comes from then on", () => {
    const phone = bindingRecord(version(1));
    const store = new RecordStore();
    store.apply(phone, "disk");
    store.apply(bindingTombstone(version(2), "call-1", 2, 10));
    expect(keysOf(store.takeDirty())).toEqual({ put: [version(2)], remove: [] });
    store.sweep(10);
    expect(store.size).toBe(0);
    expect(keysOf(store.takeDirty())).toEqual({ put: [], remove: [phone.key] });
    store.forgetPeer();
    store.apply(phone, "disk");
    store.apply(bindingTombstone(version(2), "call-1", 2, 10));
    store.sweep(10);
    expect(store.size).toBe(1);
  });

  it("reports calls that ended for want of anything heard, an unacknowledged one early", () => {
    const store = new RecordStore();
    store.apply({ ...dialogRecord(version(1), { state: "answered", createdAt: 0, expiresAt: 1_000_000 }), key: "unacknowledged" });
    store.apply({ ...dialogRecord(version(2), { createdAt: 0, expiresAt: 1_000_000 }), key: "confirmed" });
    expect(store.sweep(dialogUnacknowledgedMs + callTombstoneMs - 1)).toEqual([]);
    expect(store.sweep(dialogUnacknowledgedMs + callTombstoneMs).map(({ key }) => key)).toEqual(["unacknowledged"]);
    expect(store.sweep(1_000_000 + callTombstoneMs).map(({ key }) => key)).toEqual(["confirmed"]);
    expect(store.count("dialog")).toBe(0);
  });

  it("forgets old Call-IDs of a binding, not the binding", () => {
    const store = new RecordStore();
    store.apply(bindingRecord(version(1), { callId: "old" }));
    store.apply(bindingRecord(version(bindingTombstoneMs), { callId: "new", expiresAt: 3 * bindingTombstoneMs }));
    expect(store.changedSince(0, 10, true).records).toHaveLength(2);
    store.sweep(2 * bindingTombstoneMs - 1);
    expect(store.changedSince(0, 10, true).records).toHaveLength(1);
  });
});

describe("the end of a registration", () => {
  it.each(["local", "peer"] as const)("has a row for as long as it is remembered, whoever knows of it (%s)", (origin) => {
    const store = new RecordStore({ isPaired: true });
    const phone = bindingRecord(version(1));
    store.apply(phone);
    store.takeDirty();
    store.apply(bindingTombstone(version(2), "call-1", 2, 10), origin);
    store.acknowledge(store.changedSince(0, 10).sequence);
    expect(keysOf(store.takeDirty())).toEqual({ put: [version(2)], remove: [] });
    for (const isAway of [true, false]) {
      store.setPeerAway(isAway);
      expect(keysOf(store.takeDirty())).toEqual({ put: [], remove: [] });
    }
    store.sweep(10);
    expect(keysOf(store.takeDirty())).toEqual({ put: [], remove: [phone.key] });
  });

  it.each(["local", "peer"] as const)("has one, though the phone came and went between two flushes (%s)", (origin) => {
    const store = new RecordStore({ isPaired: true });
    store.apply(bindingRecord(version(1)), origin);
    store.apply(bindingTombstone(version(2), "call-1", 2), origin);
    expect(keysOf(store.takeDirty())).toEqual({ put: [version(2)], remove: [] });
  });

  it("counts after the loss of all memories, though another disk was full, or its cell has not had this exchange for long", () => {
    const disks = [new Map<string, StateRecord>(), new Map<string, StateRecord>()] as const;
    const stores = disks.map(() => new RecordStore({ isPaired: true }));
    const flush = (index: 0 | 1): void => {
      for (const record of stores[index]?.takeDirty().put ?? []) disks[index].set(record.key, record);
    };
    for (const [index, store] of stores.entries()) {
      const origin = index === 0 ? "local" : "peer";
      store.apply(bindingRecord(version(1)), origin);
      flush(index === 0 ? 0 : 1);
      store.apply(bindingTombstone(version(2), "call-1", 2), origin);
      store.acknowledge(store.sequence);
    }
    flush(1);
    const started = new RecordStore({ isPaired: true });
    for (const disk of disks) for (const row of disk.values()) started.apply(row, "disk");
    expect(disks[0].size).toBe(1);
    expect([...started.records("binding")]).toEqual([]);
  });
});

function givenCall(): RecordStore {
  const store = new RecordStore({ isPaired: true });
  store.apply(dialogRecord(version(1)));
  store.acknowledge(store.changedSince(0, 10).sequence);
  return store;
}

describe("while the peer is away", () => {
  it("the end of a call that the peer has not heard of gets a row, though the call never had one", () => {
    const store = givenCall();
    store.apply(endOf(dialogRecord(version(1)), 2));
    store.setPeerAway(true);
    expect(store.takeDirty().put).toMatchObject([{ value: undefined }]);
  });

  it("so does one that the disk was not told of before", () => {
    const store = givenCall();
    store.apply(endOf(dialogRecord(version(1)), 2));
    expect(store.takeDirty()).toEqual({ put: [], remove: [] });
    store.setPeerAway(true);
    expect(store.takeDirty().put).toMatchObject([{ value: undefined }]);
    expect(store.hasDirty).toBe(false);
  });
});
