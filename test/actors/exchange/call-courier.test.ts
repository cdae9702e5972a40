import { expect, it } from "vitest";
import { CallCourier } from "../../../actors/exchange/call-courier.ts";
import { callsBatchMax, callsGatheredMs, callsOfPeerMs, callsRetryMs } from "../../../actors/limits.ts";
import type { Taking } from "../../../cluster/calls/messages.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import { makeTombstone } from "../../../sip/record/tombstone.ts";
import { callRecord, version } from "../../sip/record/records.ts";

const owner = { cell: "a", since: { epoch: 5, writer: "a" } };

/** A courier of cell a, whose ledger answers what a test says, or nothing yet. */
class World {
  now = 1_000_000;
  readonly store = new RecordStore({ isPaired: true });
  readonly deliveries: string[][] = [];
  answers: (Taking | undefined)[] = [];
  peer: string | undefined = "b";
  isServing = true;
  waiting: ((taking: Taking | undefined) => void) | undefined;
  #at: number | undefined;
  #run = (): void => undefined;
  readonly courier: CallCourier;

  constructor() {
    this.courier = new CallCourier({
      store: this.store,
      now: () => this.now,
      wallAt: (moment) => moment + 0,
      timer: (run) => {
        this.#run = run;
        return { set: (ms) => (this.#at = this.now + ms), clear: () => (this.#at = undefined) };
      },
      port: {
        deliver: (delivery, told) => {
          const { records } = JSON.parse(delivery) as { readonly records: readonly (readonly unknown[])[] };
          this.deliveries.push(records.map((record) => String(record[1])));
          if (this.answers.length === 0) this.waiting = told;
          else told(this.answers.shift());
        },
      },
      pairedWith: () => this.peer,
      isServing: () => this.isServing,
      collected: (records) => {
        for (const { key, value } of records) {
          this.store.apply(makeTombstone("call", key, version(this.now), this.now, { callId: "", cSeq: value.rank }));
        }
      },
    });
  }

  /** A call is over, noted in this cell or another one. */
  note(name: string, cell = "a"): void {
    this.store.apply({ ...callRecord(version(this.now, cell)), key: `${name} tag` }, cell === "a" ? "local" : "peer");
    this.courier.look();
  }

  advance(ms: number): void {
    const until = this.now + ms;
    while (this.#at !== undefined && this.#at <= until) {
      this.now = this.#at;
      this.#at = undefined;
      this.#run();
    }
    this.now = until;
  }

  get isIdle(): boolean {
    return this.#at === undefined;
  }

  /** Rows that the disk gets, and loses. */
  flush(): [put: number, remove: number] {
    const { put, remove } = this.store.takeDirty();
    return [put.length, remove.length];
  }
}

const taken: Taking = { outcome: "taken", owner };

it("gathers calls for a moment, delivers them together, and rests: no disk has had a row", () => {
  const world = new World();
  world.answers = [taken];
  world.note("one");
  world.advance(callsGatheredMs - 1);
  world.note("two");
  expect([world.deliveries, world.flush()]).toEqual([[], [0, 0]]);
  world.advance(1);
  expect(world.deliveries).toEqual([["one tag", "two tag"]]);
  expect([world.store.count("call"), world.isIdle, world.flush()]).toEqual([0, true, [0, 0]]);
});

it("delivers at a moment that all exchanges share, whenever calls end", () => {
  const world = new World();
  world.now += callsGatheredMs / 4;
  world.note("one");
  world.advance((callsGatheredMs * 3) / 4 - 1);
  expect(world.deliveries).toEqual([]);
  world.advance(1);
  expect(world.deliveries).toEqual([["one tag"]]);
});

it("delivers again what was not taken, and has it on the disk meanwhile", () => {
  const world = new World();
  world.answers = [undefined, { outcome: "failed", owner }, { outcome: "refused", owner }, taken];
  world.note("one");
  world.advance(callsGatheredMs);
  expect(world.flush()).toEqual([1, 0]);
  world.advance(3 * callsRetryMs);
  expect(world.deliveries).toEqual(Array.from({ length: 4 }, () => ["one tag"]));
  expect([world.store.count("call"), world.isIdle]).toEqual([0, true]);
  world.store.acknowledge(world.store.sequence);
  expect(world.flush()).toEqual([0, 1]);
});

it("does not take the word of a collector that has been replaced", () => {
  const world = new World();
  const later = { cell: "b", since: { epoch: 6, writer: "b" } };
  world.answers = [{ outcome: "taken", owner: later }, taken, { outcome: "taken", owner: later }];
  world.note("one");
  world.advance(callsGatheredMs);
  world.note("two");
  world.advance(callsGatheredMs);
  expect(world.store.count("call")).toBe(1);
  world.advance(callsRetryMs);
  expect([world.deliveries.length, world.store.count("call")]).toEqual([3, 0]);
});

it("leaves to the other replica what that has noted, unless it is away, or does not bring it", () => {
  const world = new World();
  world.answers = [taken, taken];
  world.note("theirs", "b");
  world.advance(callsOfPeerMs - callsRetryMs);
  expect(world.deliveries).toEqual([]);
  world.advance(2 * callsRetryMs);
  expect(world.deliveries).toEqual([["theirs tag"]]);
  world.peer = undefined;
  world.note("theirs too", "b");
  world.advance(callsGatheredMs);
  expect(world.deliveries.length).toBe(2);
});

it("brings at once what a cell has noted that the map has here no more", () => {
  const world = new World();
  world.answers = [taken];
  world.note("theirs", "c");
  world.advance(callsGatheredMs);
  expect(world.deliveries).toEqual([["theirs tag"]]);
});

it("waits while it does not serve, delivers one lot at a time, and no more than callsBatchMax at once", () => {
  const world = new World();
  world.isServing = false;
  for (let n = 0; n <= callsBatchMax; n += 1) world.note(`n${n}`);
  world.advance(callsGatheredMs);
  expect(world.deliveries).toEqual([]);
  world.isServing = true;
  world.advance(callsRetryMs);
  expect(world.deliveries.map(({ length }) => length)).toEqual([callsBatchMax]);
  world.advance(60_000);
  expect(world.deliveries.length).toBe(1);
  world.answers = [taken];
  world.waiting?.(taken);
  // A lot that was full waits for no moment.
  world.advance(0);
  expect([world.deliveries.map(({ length }) => length), world.store.count("call")]).toEqual([[callsBatchMax, 1], 0]);
});
