import { describe, expect, it } from "vitest";
import {
  peerBatchOctets,
  peerDelayMs,
  peerFlightsMax,
  peerLateMs,
  peerOverlapMs,
  peerQuietMs,
  peerSyncMs,
} from "../../../cluster/limits.ts";
import { PeerLink } from "../../../cluster/replication/peer-link.ts";
import { RecordStore } from "../../../sip/record/record-store.ts";
import { answerAs, waiting } from "./waiting-link.ts";
import { ackTimeoutMs, calm, leaseMs, randomFrom, World, type Replica, type Told } from "./world.ts";

const key = (name: string | number): string => `bob@example.test ${name}`;

function together(): World {
  const world = new World();
  world.pass(100);
  expect([world.a.link.state, world.b.link.state]).toEqual(["together", "together"]);
  return world;
}

function isToldOf(world: World, name: string): boolean {
  return world.told.some((told) => told.key === key(name));
}

describe("two replicas that start", () => {
  it("are syncing, and together as soon as each has all of the other", () => {
    const world = new World();
    expect(world.a.link.state).toBe("syncing");
    expect(world.a.link.isServing).toBe(false);
    world.pass(50);
    expect(world.a.states.at(-1)).toBe("together");
    expect(world.b.states.at(-1)).toBe("together");
  });

  it("say nothing when there is nothing to say", () => {
    const world = together();
    const { batches } = world.a;
    world.pass(3_600_000);
    expect(world.a.batches).toBe(batches);
    expect(world.a.link.nextDeadline()).toBeUndefined();
    expect(world.b.link.nextDeadline()).toBeUndefined();
  });

  it("serve at once when the peer's connection is refused", () => {
    const world = new World();
    world.b.kill();
    world.pass(20);
    expect(world.a.states).toEqual(["away"]);
  });

  it("serve after a bounded time when the peer says nothing", () => {
    const world = new World();
    world.b.freeze();
    let isServed = false;
    world.a.input(() => {
      isServed = true;
    });
    world.pass(peerSyncMs - 10);
    expect([world.a.link.state, isServed]).toEqual(["syncing", false]);
    world.pass(20);
    expect([world.a.link.state, isServed]).toEqual(["lagging", true]);
  });

  it("have the memory of the one that goes back further, as soon as it has told everything", () => {
    const world = together();
    const { since } = world.a.memory;
    world.pass(60_000);
    world.b.kill();
    world.pass(60_000);
    world.b.restart();
    expect(world.b.memory.since).toBe(world.now);
    world.pass(1_000);
    expect([world.a.memory.since, world.b.memory.since]).toEqual([since, since]);
  });

  it("serve soon when the view says that the peer's cell is down", () => {
    const world = new World();
    world.b.freeze();
    world.pass(5);
    world.a.link.see(false, world.now);
    world.a.settle();
    world.pass(ackTimeoutMs + 1);
    expect(world.a.link.state).toBe("lagging");
  });

  it("believe the peer more than the view", () => {
    const world = new World();
    world.a.link.see(false, world.now);
    world.pass(100);
    expect(world.a.link.state).toBe("together");
    world.a.link.see(false, world.now);
    world.a.settle();
    expect(world.a.link.state).toBe("away");
    world.pass(2_000);
    expect(world.a.link.state).toBe("together");
  });
});

describe("a change", () => {
  it("is told of when the peer has it, and not before", () => {
    const world = together();
    world.a.change(key("x"));
    expect(isToldOf(world, "x")).toBe(false);
    world.pass(10);
    expect(isToldOf(world, "x")).toBe(true);
    expect(world.b.store.binding(key("x"))).toBeDefined();
    expect(world.broken).toEqual([]);
  });

  it("goes with others: one batch under way, the next one collects", () => {
    const world = together();
    const { batches } = world.a;
    for (let count = 0; count < 1_000; count += 1) {
      world.after(count / 100, () => world.a.change(key(count)));
    }
    world.pass(100);
    expect(world.told).toHaveLength(1_000);
    expect(world.a.flightsMax).toBe(1);
    expect(world.a.batches - batches).toBeLessThan(12);
  });

  it("that nobody waits for is followed to the peer all the same", () => {
    const { a, b } = new World();
    a.world.pass(1_000);
    let arrived = 0;
    const world = a.world;
    a.quietly(key("x"), () => (arrived = world.now));
    world.pass(peerDelayMs - 1);
    expect([arrived, b.cSeqOf(key("x"))]).toEqual([0, 0]);
    world.pass(10);
    expect(arrived).toBeGreaterThan(0);
    expect(b.cSeqOf(key("x"))).toBeGreaterThan(0);
    // Nothing has changed since.
    let isDone = false;
    a.quietly(undefined, () => (isDone = true));
    expect(isDone).toBe(true);
    b.kill();
    a.quietly(key("y"), () => (isDone = false));
    world.pass(1_000);
    expect(isDone).toBe(false);
  });

  it("waits for the acknowledgement timeout at most: then the disk takes it, and the replica is lagging until the peer answers", () => {
    const world = together();
    world.b.freeze();
    world.a.change(key("x"));
    world.pass(ackTimeoutMs - 1);
    expect(isToldOf(world, "x")).toBe(false);
    world.pass(2);
    expect(isToldOf(world, "x")).toBe(true);
    expect(world.a.link.state).toBe("lagging");
    const before = world.now;
    world.a.change(key("y"));
    expect(world.told.at(-1)).toMatchObject({ key: key("y"), at: before });
    world.b.thaw();
    world.pass(3_000);
    expect(world.a.link.state).toBe("together");
    expect(world.a.table()).toEqual(world.b.table());
    expect(world.b.table()).toHaveLength(2);
  });

  it("does not wait for a peer that the view calls down, nor for one that refuses", () => {
    const world = together();
    world.b.freeze();
    world.a.change(key("x"));
    world.pass(10);
    world.a.link.see(false, world.now);
    world.a.settle();
    expect(isToldOf(world, "x")).toBe(true);
    world.b.kill();
    world.pass(5_000);
    world.a.change(key("y"));
    world.pass(10);
    expect(isToldOf(world, "y")).toBe(true);
    expect(world.a.link.state).toBe("away");
  });

  it("is not sent back to where it came from", () => {
    const world = together();
    const { batches } = world.b;
    world.a.change(key("x"));
    world.pass(1_000);
    expect(world.b.batches).toBe(batches);
  });
});

describe("a replica that starts again", () => {
  it("has caught up before it serves", () => {
    const world = together();
    for (let count = 0; count < 3_000; count += 1) world.a.change(key(count));
    world.pass(100);
    world.b.kill();
    world.pass(2_000);
    world.a.change(key("meanwhile"));
    world.pass(100);
    world.b.restart();
    let seen = 0;
    world.b.input(() => {
      seen = world.b.store.count("binding");
    });
    world.pass(200);
    expect(seen).toBe(3_001);
    expect([world.a.link.state, world.b.link.state]).toEqual(["together", "together"]);
  });

  it("is told in bounded chunks", () => {
    const world = together();
    for (let count = 0; count < 3_000; count += 1) world.a.change(key(count));
    world.pass(100);
    world.b.kill();
    world.pass(100);
    world.b.restart();
    world.a.batchOctetsMax = 0;
    world.pass(500);
    expect(world.b.store.count("binding")).toBe(3_000);
    expect(world.a.batchOctetsMax).toBeGreaterThan(peerBatchOctets / 2);
    expect(world.a.batchOctetsMax).toBeLessThan(peerBatchOctets + 2_000);
  });

  it("gets back what it told its peer and forgot itself", () => {
    const world = together();
    world.a.change(key("x"));
    world.pass(20);
    world.a.kill();
    world.pass(100);
    world.a.restart();
    expect(world.a.table()).toEqual([]);
    world.pass(100);
    expect(world.a.table()).toEqual(world.b.table());
    expect(world.a.table()).toHaveLength(1);
  });

  it("finds a peer that has started again too: both go on from their disks", () => {
    const world = together();
    world.a.change(key("x"));
    world.pass(1_500);
    for (const replica of [world.a, world.b]) replica.kill();
    world.pass(100);
    for (const replica of [world.a, world.b]) replica.restart();
    world.pass(100);
    expect([world.a.link.state, world.b.link.state]).toEqual(["together", "together"]);
    expect(world.a.table()).toHaveLength(1);
  });

  it("keeps out what an earlier start of it sent and arrives late", () => {
    const world = together();
    world.b.kill();
    world.pass(10);
    world.b.restart();
    world.pass(50);
    const late = { cell: "b", boot: "b-2", peerBoot: world.a.boot, after: 0, sequence: 9, isComplete: true, records: [], unreadable: 0 };
    const state = world.a.link.peerBoot;
    expect(world.a.link.receive(late, world.now)).toEqual({ answer: { boot: world.a.boot, received: 0, ahead: 0 }, records: [] });
    expect(world.a.link.peerBoot).toBe(state);
  });
});

describe("a replica that was frozen", () => {
  it("hears what it has missed before it processes anything", () => {
    const world = together();
    world.a.change(key("x"));
    world.pass(100);
    world.a.freeze();
    let seen: string | undefined = "";
    world.a.input(() => {
      seen = world.a.store.get("binding", key("x"))?.version;
    });
    world.pass(leaseMs);
    world.b.change(key("x"));
    world.pass(leaseMs);
    world.a.thaw();
    expect(seen).toBe("");
    world.pass(200);
    expect(seen).toBe(world.b.store.get("binding", key("x"))?.version);
  });

  it("goes on alone when its peer is gone: at once, or after the acknowledgement timeout", () => {
    for (const [isKilled, withinMs] of [
      [true, 20],
      [false, ackTimeoutMs + 5],
    ] as const) {
      const world = together();
      world.pass(2 * leaseMs);
      if (isKilled) world.b.kill();
      else world.b.freeze();
      let isServed = false;
      world.a.input(() => {
        isServed = true;
      });
      expect(isServed).toBe(false);
      world.pass(withinMs);
      expect(isServed).toBe(true);
      expect(world.a.link.state).toBe(isKilled ? "away" : "lagging");
    }
  });

  it("asks once while it is busy: acknowledgements keep the lease", () => {
    const world = together();
    for (let count = 0; count < 100; count += 1) world.after(count * 500, () => world.a.change(key(count)));
    world.pass(60_000);
    // One batch for each change, and no other.
    expect(world.a.batches).toBeLessThan(105);
  });

  it("does not ask again and again while the peer is frozen", () => {
    const world = together();
    world.b.freeze();
    let waited = 0;
    for (let count = 0; count < 600; count += 1) {
      world.after(count * 50, () => {
        world.a.change(key(count % 7));
        waited = Math.max(waited, world.a.waiting);
      });
    }
    world.pass(30_000);
    expect(waited).toBe(0);
    expect(world.told).toHaveLength(600);
  });
});

describe("a peer that stays away", () => {
  it("is tried at least once a second while there is something to tell, and left alone later", () => {
    const world = together();
    world.b.kill();
    world.a.change(key("x"));
    world.pass(100);
    const early = world.a.batches;
    world.pass(10_000);
    expect(world.a.batches - early).toBeGreaterThanOrEqual(10);
    world.pass(peerQuietMs);
    const { batches } = world.a;
    world.pass(60_000);
    expect(world.a.batches).toBe(batches);
    expect(world.a.link.nextDeadline()).toBeUndefined();
    world.b.restart();
    world.a.link.see(true, world.now);
    world.a.settle();
    world.pass(100);
    expect(world.b.table()).toEqual(world.a.table());
  });

  it("after a cut both sides have kept serving, and are equal within 5 s", () => {
    const world = together();
    world.isCut = true;
    for (let count = 0; count < 200; count += 1) {
      world.after(count * 100, () => (count % 2 === 0 ? world.a : world.b).change(key(count % 20), count % 5 === 0));
    }
    world.pass(20_000);
    expect(world.told).toHaveLength(200);
    world.isCut = false;
    world.pass(5_000);
    expect(world.a.table()).toEqual(world.b.table());
    expect([world.a.link.state, world.b.link.state]).toEqual(["together", "together"]);
  });
});

/** What commits at this rate waited for, sorted; the first second is left out. */
function waits(world: World, perSecond: number, seconds = 20): number[] {
  const random = randomFrom(perSecond);
  const count = seconds * perSecond;
  for (let index = 0; index < count; index += 1) world.after(random() * seconds * 1_000, () => world.a.change(key(index % 500)));
  const begin = world.now + 1_000;
  world.pass(seconds * 1_000 + 2_000);
  expect(world.told).toHaveLength(count);
  return world.told
    .filter(({ at }) => at >= begin)
    .map(({ waitedMs }) => waitedMs)
    .toSorted((one, other) => one - other);
}

describe("a peer far away", () => {
  /** 75 ms each way, as between continents. */
  const roundTripMs = 150;
  const far = { loss: 0, duplicates: 0, delayMsMin: roundTripMs / 2, delayMsMax: 0 };

  function farApart(network = far): World {
    const world = together();
    world.pass(5_000);
    world.network = network;
    return world;
  }

  it.each([5, 20, 100])("%i commits a second wait for one way there and back, and not for two", (perSecond) => {
    const world = farApart();
    const waited = waits(world, perSecond);
    expect(waited[0]).toBe(roundTripMs);
    expect(waited[Math.floor(waited.length / 2)]).toBeLessThan(roundTripMs + peerDelayMs);
    expect(waited.at(-1)).toBeLessThan(roundTripMs + 2 * peerDelayMs);
    expect(world.broken).toEqual([]);
    expect(world.a.states.at(-1)).toBe("together");
  });

  it("has a batch each 25 ms at most, and no more under way than is allowed, whatever comes", () => {
    const world = farApart({ ...far, delayMsMin: 95 });
    const { batches } = world.a;
    waits(world, 500, 4);
    expect(world.a.flightsMax).toBeGreaterThan(1);
    expect(world.a.flightsMax).toBeLessThanOrEqual(peerFlightsMax);
    expect(world.a.batches - batches).toBeLessThan(6_000 / peerOverlapMs);
  });

  it("lacks nothing, and is not taken to lack anything, when batches overtake each other", () => {
    const world = farApart({ ...far, delayMsMin: 20, delayMsMax: 100 });
    const states = world.a.states.length;
    waits(world, 50);
    world.pass(1_000);
    expect(world.b.table()).toEqual(world.a.table());
    expect(world.broken).toEqual([]);
    // Lagging is what took too long, never what was overtaken.
    expect(world.a.causes.slice(states).filter((cause) => cause.includes("lacks"))).toEqual([]);
  });

  it("that does not answer is lagging as soon as one that is near", () => {
    const world = farApart();
    world.a.input();
    world.pass(2 * roundTripMs);
    world.a.change(key("x"));
    world.pass(60);
    world.a.change(key("y"));
    expect(world.a.flightsMax).toBe(2);
    world.isCut = true;
    world.a.change(key("z"));
    world.pass(ackTimeoutMs + 200);
    expect(world.a.states.at(-1)).toBe("lagging");
    expect(["x", "y", "z"].filter((name) => !isToldOf(world, name))).toEqual([]);
    world.isCut = false;
    world.pass(5_000);
    expect(world.b.table()).toEqual(world.a.table());
  });
});

describe("a replica on a machine that is held up", () => {
  it("judges at its time when it is not late", () => {
    const { link, states } = waiting();
    expect(link.nextDeadline()).toBe(2_000 + ackTimeoutMs);
    link.tick(2_000 + ackTimeoutMs + peerLateMs - 1);
    expect(states()).toEqual(["lagging"]);
  });

  it("does not judge when it looks late: the answer may lie unread, and is waited for as long again", () => {
    const { link, id, sequence, states } = waiting();
    link.tick(2_000 + ackTimeoutMs + 150);
    expect([link.state, link.nextDeadline()]).toEqual(["together", 2_000 + ackTimeoutMs + 300]);
    link.answered(id, { boot: "b1", received: sequence, ahead: 0 }, 2_000 + ackTimeoutMs + 200);
    expect([link.state, states()]).toEqual(["together", []]);
  });

  it("waits so once, and for a bounded time, however late it is", () => {
    const { link, states } = waiting();
    link.tick(2_000 + 2 * ackTimeoutMs + 500);
    expect(link.nextDeadline()).toBe(2_000 + 3 * ackTimeoutMs + 500);
    link.tick(2_000 + 3 * ackTimeoutMs + 550);
    expect(states()).toEqual(["lagging"]);
  });
});

/** One run: a minute of changes, and of everything that can happen to a network and to processes. */
function run(seed: number): World {
  const world = new World(seed);
  const random = randomFrom(seed ^ 0x5bd1e995);
  const pick = (): Replica => (random() < 0.5 ? world.a : world.b);
  world.network = { loss: random() * 0.3, duplicates: random() * 0.3, delayMsMax: random() < 0.5 ? 20 : 600 };
  const keys = 1 + Math.floor(random() * 40);
  for (let count = 0; count < 300; count += 1) {
    world.at(world.now + random() * 60_000, () => pick().change(key(Math.floor(random() * keys)), random() < 0.2));
  }
  for (let count = 0; count < 6; count += 1) {
    const at = world.now + random() * 55_000;
    const lastMs = random() * 6_000;
    const what = random();
    const victim = pick();
    if (what < 0.3) {
      world.at(at, () => (world.isCut = true));
      world.at(at + lastMs, () => (world.isCut = false));
    } else if (what < 0.6) {
      world.at(at, () => victim.freeze());
      world.at(at + lastMs, () => victim.thaw());
    } else {
      world.at(at, () => killSafely(world, victim, lastMs));
    }
  }
  world.pass(62_000);
  world.network = calm;
  world.isCut = false;
  for (const replica of [world.a, world.b]) {
    replica.thaw();
    replica.input();
  }
  world.pass(20_000);
  return world;
}

/** Two memories may be lost one after the other, not at once: the second dies only when the first holds what it holds, or its disk does. */
function killSafely(world: World, victim: Replica, downMs: number): void {
  const other = world.peerOf(victim);
  const isHeld = other.isUp && victim.link.state === "together" && victim.link.peerBoot === other.boot;
  if (!victim.isUp || victim.isFrozen || (!isHeld && victim.store.hasDirty)) return;
  victim.kill();
  world.after(downMs, () => victim.restart());
}

describe("words of an earlier start of the peer that arrive late", () => {
  const batch = { cell: "b", peerBoot: "", after: 0, sequence: 0, isComplete: false, records: [], unreadable: 0 };

  it("do not make it take the peer for gone: only an answer shows who is there now", () => {
    const store = new RecordStore({ isPaired: true });
    const link = new PeerLink({ cell: "a", boot: "a2", ackTimeoutMs, leaseMs }, store, 0);
    link.receive({ ...batch, boot: "b2" }, 1);
    answerAs(link, "b2", 2);
    link.receive({ ...batch, boot: "b2", peerBoot: "a2", isComplete: true }, 600);
    expect([link.peerBoot, link.state]).toEqual(["b2", "together"]);
    const late = link.receive({ ...batch, boot: "b1" }, 700);
    expect([late.records, late.answer.isUnknown]).toEqual([[], true]);
    answerAs(link, "b2", 701);
    expect([link.peerBoot, link.state]).toEqual(["b2", "together"]);
  });

  it("what a start says that the peer does not know yet is said again, be it nothing", () => {
    const link = new PeerLink({ cell: "a", boot: "a1", ackTimeoutMs, leaseMs }, new RecordStore({ isPaired: true }), 0);
    answerAs(link, "b1", 1);
    expect(link.takeEffects()).toEqual([]);
    link.receive({ ...batch, boot: "b1", peerBoot: "a1", isComplete: true }, 600);
    expect(link.state).toBe("together");
    link.commit(1, 4_000);
    link.changed(4_000);
    link.admit(4_000);
    const [question] = link.takeEffects().filter(({ type }) => type === "send");
    if (question?.type !== "send") throw new Error("asks nothing");
    link.answered(question.id, { boot: "b1", received: 0, ahead: 0, isUnknown: true }, 4_001);
    expect(link.state).toBe("lagging");
    answerAs(link, "b1", 4_002);
    expect(link.state).toBe("together");
  });

  it("and a new start is met by its answer", () => {
    const link = new PeerLink({ cell: "a", boot: "a2", ackTimeoutMs, leaseMs }, new RecordStore({ isPaired: true }), 0);
    answerAs(link, "b1", 1);
    expect(link.peerBoot).toBe("b1");
    link.receive({ ...batch, boot: "b2" }, 700);
    answerAs(link, "b2", 701);
    expect(link.peerBoot).toBe("b2");
  });
});

describe("whatever the network and the processes do", () => {
  const runs = 400;

  it(`${runs} runs end with equal tables, nothing told is lost, no commit is early, few batches are under way`, () => {
    for (let seed = 1; seed <= runs; seed += 1) {
      const world = run(seed);
      const latest = new Map<string, Told>();
      for (const told of world.told) if (told.cSeq > (latest.get(told.key)?.cSeq ?? 0)) latest.set(told.key, told);
      // A removal needs no trace when nothing is left that it removed.
      const isHeld = ({ key: name, cSeq, isGone }: Told): boolean =>
        world.a.cSeqOf(name) >= (isGone && world.a.cSeqOf(name) === 0 ? 0 : cSeq);
      const { a, b } = world;
      expect({
        seed,
        early: world.broken,
        lost: [...latest.values()].filter((told) => !isHeld(told)),
        areEqual: a.table().join() === b.table().join(),
        states: [a.link.state, b.link.state],
        areFew: Math.max(a.flightsMax, b.flightsMax) <= peerFlightsMax,
        waiting: a.waiting + b.waiting,
      }).toEqual({ seed, early: [], lost: [], areEqual: true, states: ["together", "together"], areFew: true, waiting: 0 });
    }
  });
});
