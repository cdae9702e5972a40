import { beforeEach, describe, expect, it } from "vitest";
import { DiskWriter } from "../../../actors/exchange/disk-writer.ts";
import { diskGroupMs } from "../../../actors/limits.ts";
import { RecordStore, type Rows } from "../../../sip/record/record-store.ts";
import { secretsOf } from "../../../sip/auth/digest.ts";
import { makeTombstone } from "../../../sip/record/tombstone.ts";
import { makeVersion } from "../../sip/record/make-version.ts";
import { invite } from "../../sip/record/records.ts";
import { hash } from "./harness.ts";

describe("a disk writer", () => {
  let store: RecordStore;
  let writer: DiskWriter;
  let isRoomKnown: boolean;
  let isFull: boolean;
  /** Delays of the timers that are set, and how to ring them. */
  const timers = new Map<() => void, number>();
  const asked: ((isRoom: boolean) => void)[] = [];
  const written: Rows[] = [];
  const done: string[] = [];
  let changes = 0;
  let ms = 0;
  /** What the clock says when a port calls back. */
  let now = 0;

  /** One more record to write. */
  function change(name: string): void {
    ms += 1;
    const value = secretsOf(hash, name, "secret");
    store.apply({ kind: "subscriber", key: name, version: makeVersion({ ms, counter: 0, cell: "a" }), value });
  }

  /** Rings the timers that are set. */
  function ring(at: number): void {
    now = at;
    const due = [...timers.keys()];
    timers.clear();
    for (const run of due) run();
  }

  beforeEach(() => {
    store = new RecordStore({ isPaired: true });
    isRoomKnown = true;
    isFull = false;
    changes = 0;
    for (const list of [asked, written, done]) list.length = 0;
    timers.clear();
    const ask = (_octets: number, told: (isRoom: boolean) => void): boolean => {
      if (!isRoomKnown) asked.push(told);
      return isRoomKnown;
    };
    writer = new DiskWriter({
      store,
      waitMs: () => 1_000,
      now: () => now,
      disk: {
        readMemory: () => undefined,
        setMemory: () => {},
        read: () => [],
        write: (rows) => written.push(rows),
        cleaningOctets: () => 0,
      },
      room: {
        ask,
        askInside: ask,
        get isFull() {
          return isFull;
        },
      },
      timer: (run) => ({ set: (delay) => timers.set(run, delay), clear: () => timers.delete(run) }),
      changed: () => (changes += 1),
    });
  });

  const keys = (): string[][] => written.map(({ put }) => put.map(({ key }) => key));
  const removed = (): string[][] => written.map(({ remove }) => remove.map(({ key }) => key));

  it("writes at once when there is room, and plans no write for what is written", () => {
    change("one");
    writer.flushLater();
    expect([...timers.values()]).toEqual([1_000]);
    expect(writer.flush(0)).toBe(true);
    writer.flushLater();
    expect([keys(), timers.size]).toEqual([[["one"]], 0]);
  });

  it("writes an INVITE that has ended and has a row at once, and after another write with what comes meanwhile", () => {
    const ringing = { kind: "invite", key: "i", version: makeVersion({ ms: 1, counter: 0, cell: "a" }), value: invite } as const;
    for (const key of ["i", "j"]) store.apply({ ...ringing, key });
    store.setPeerAway(true);
    writer.flush(0);
    for (const [index, key] of ["i", "j"].entries()) {
      store.apply(makeTombstone("invite", key, makeVersion({ ms: 2 + index, counter: 0, cell: "a" }), 2));
      writer.flushDue(1_000);
    }
    expect([keys(), removed()]).toEqual([
      [["i", "j"], []],
      [[], ["i"]],
    ]);
    ring(1_000 + diskGroupMs);
    expect(removed()).toEqual([[], ["i"], ["j"], []]);
  });

  it("writes in a moment what waits for its turn when the other replica is not there any more, and nothing when there is nothing", () => {
    writer.flushSoon();
    expect(timers.size).toBe(0);
    change("one");
    writer.flushLater();
    writer.flushSoon();
    expect([...timers.values()]).toEqual([diskGroupMs]);
    ring(diskGroupMs);
    expect([keys(), timers.size]).toEqual([[["one"]], 0]);
  });

  it("has commits of a moment share a write", () => {
    expect(writer.flush(1_000)).toBe(true);
    change("one");
    expect(writer.flushTogether(1_005, () => done.push("one"))).toBe(false);
    change("two");
    expect(writer.flushTogether(1_010, () => done.push("two"))).toBe(false);
    expect([[...timers.values()], done]).toEqual([[diskGroupMs - 5], []]);
    ring(1_020);
    expect([keys().at(-1), done]).toEqual([
      ["one", "two"],
      ["one", "two"],
    ]);
    expect(writer.flushTogether(2_000, () => done.push("three"))).toBe(true);
  });

  it("writes when it hears of room, and again what asked for a write meanwhile", () => {
    isRoomKnown = false;
    change("one");
    expect(writer.flush(0, () => done.push("one"))).toBe(false);
    change("two");
    expect(writer.flush(0, () => done.push("two"))).toBe(false);
    expect(asked).toHaveLength(1);
    now = 5;
    asked[0]?.(true);
    expect([keys(), done, asked.length]).toEqual([[["one", "two"]], [], 2]);
    now = 6;
    asked[1]?.(true);
    expect(done).toEqual(["one", "two"]);
  });

  it("tells that the disk is full and that it has room again, goes on, and tries again", () => {
    isRoomKnown = false;
    change("one");
    writer.flush(0, () => done.push("one"));
    isFull = true;
    now = 5;
    asked[0]?.(false);
    expect([keys(), done, changes, [...timers.values()]]).toEqual([[], ["one"], 1, [1_000]]);
    ring(1_005);
    isFull = false;
    now = 1_006;
    asked[1]?.(true);
    expect([keys(), changes, timers.size]).toEqual([[["one"]], 2, 0]);
  });

  it("asks again while the disk is full, though it has nothing to write: who is refused for that is not refused for ever", () => {
    isRoomKnown = false;
    writer.hasRoom(1, 0, () => {});
    isFull = true;
    asked[0]?.(false);
    for (const at of [1_000, 2_000]) {
      expect([...timers.values()]).toEqual([1_000]);
      ring(at);
      asked.at(-1)?.(false);
    }
    expect([asked.length, changes]).toEqual([3, 1]);
    ring(3_000);
    isFull = false;
    asked[3]?.(true);
    expect([changes, timers.size]).toEqual([2, 0]);
  });

  it("tells whether there is room", () => {
    const told: boolean[] = [];
    writer.hasRoom(3, 0, (isRoom) => told.push(isRoom));
    isRoomKnown = false;
    writer.hasRoom(3, 0, (isRoom) => told.push(isRoom));
    writer.hasRoomAtFirst(0, (isRoom) => told.push(isRoom));
    expect(told).toEqual([true]);
    isFull = true;
    now = 0;
    for (const answer of asked) answer(false);
    expect([told, changes]).toEqual([[true, false, false], 1]);
  });
});
