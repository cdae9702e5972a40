import { describe, expect, it } from "vitest";
import { againText, movedText } from "../../../actors/exchange/exchange-actor.ts";
import { handedOverMs } from "../../../actors/limits.ts";
import type { Assignment, ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { peerSyncMsMax } from "../../../cluster/limits.ts";
import { parseAnswer, parseBatch, serializeBatch } from "../../../cluster/replication/peer-batch.ts";
import { refusedCause } from "../../../cluster/replication/peer-link.ts";
import { isParseError } from "../../../sip/errors.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import { memoryFrom } from "../../../sip/record/memory.ts";
import { serializeRecord } from "../../../sip/record/record-text.ts";
import type { StateRecord } from "../../../sip/record/state-record.ts";
import { ActorWorld, messageOf, TestBackhaul } from "./actor-world.ts";
import { answer, TestPhone, testMap } from "./harness.ts";

const alice = new TestPhone("alice", "198.51.100.7", 5060, "TCP");
const bob = new TestPhone("bob", "198.51.100.8", 5060, "TCP");
const carol = new TestPhone("carol", "198.51.100.9", 5060, "WS");

/** The map of three cells in which exchange 0 is assigned so. */
function mapWith(version: number, primary: string, secondary: string): ClusterMap {
  const first = testMap();
  const cells = [...first.cells, { id: "c", url: "http://127.0.0.1:8803" }];
  const assignment: Assignment = { primary, secondary };
  return { ...first, version, writer: "b", cells, assignments: [assignment] };
}

function answered({ texts }: TestBackhaul): number {
  return texts.filter((text) => text.startsWith("SIP/2.0 200 ")).length;
}

/** Keys of the records in the batches that are under way, and the cells that they go to. */
function underWay({ batches, batchCells }: ActorWorld): { readonly cells: readonly string[]; readonly keys: readonly string[] } {
  const keys = [...batches.values()].flatMap((text) => {
    const batch = parseBatch(text);
    return "records" in batch ? batch.records.map(({ key }) => key) : [];
  });
  return { cells: [...new Set(Array.from(batches.keys(), (id) => batchCells.get(id) ?? ""))], keys };
}

/** A replica with a registered phone that both have. */
function registered(): { readonly world: ActorWorld; readonly gateway: TestBackhaul } {
  const world = new ActorWorld().join();
  const gateway = world.backhaul();
  gateway.message(alice.key, alice.register());
  world.advance(20);
  world.answerBatches();
  expect([answered(gateway), world.actor.pairState]).toEqual([1, "together"]);
  return { world, gateway };
}

/** A batch of another cell for a start of ours. */
function batchOf(cell: string, boot: string, peerBoot: string, sequence: number, records: readonly StateRecord[]): string {
  return serializeBatch({ cell, boot, peerBoot, after: 0, sequence, isComplete: true }, records.map(serializeRecord));
}

describe("a replica whose peer is in another cell by a newer map", () => {
  it("serves on; commits are for the disk, those that wait for the old peer too, until the new one has everything", () => {
    const { world, gateway } = registered();
    gateway.message(bob.key, bob.register());
    expect(answered(gateway)).toBe(1);
    world.happened.length = 0;
    world.take(() => world.actor.setMap(mapWith(2, "a", "c")));
    world.advance(50);
    expect([answered(gateway), world.actor.pairState, world.happened.includes("write")]).toEqual([2, "lagging", true]);
    world.advance(50);
    expect(underWay(world).cells).toEqual(["c"]);
    gateway.message(carol.key, carol.register());
    world.advance(50);
    expect([answered(gateway), world.actor.isServing, gateway.closed]).toEqual([3, true, []]);
    world.answerBatches();
    expect(world.actor.pairState).toBe("together");
    // What was said to the old peer is told to the new one as well, and numbers of batches go on.
    expect(Math.max(...world.batchCells.keys())).toBe(world.batchCells.size);
  });

  it("takes no map that is not newer", () => {
    const { world } = registered();
    world.take(() => world.actor.setMap(mapWith(3, "a", "c")));
    world.take(() => world.actor.setMap(mapWith(2, "b", "a")));
    world.take(() => world.actor.setMap(mapWith(3, "b", "a")));
    world.advance(100);
    expect(underWay(world).cells).toEqual(["c"]);
  });

  it("does without one that the map does not name, and with one that it names again", () => {
    const { world, gateway } = registered();
    gateway.message(bob.key, bob.register());
    world.take(() => world.actor.setMap(mapWith(2, "a", "a")));
    world.advance(50);
    expect([answered(gateway), world.actor.pairState]).toEqual([2, "alone"]);
    world.take(() => world.actor.setMap(mapWith(3, "a", "c")));
    world.advance(50);
    world.answerBatches();
    expect(world.actor.pairState).toBe("together");
  });

  it("takes what a cell brings that has no replica any more, and tells its peer of that; of nobody else", () => {
    const { world } = registered();
    world.take(() => world.actor.setMap(mapWith(2, "a", "c")));
    world.answerBatches();
    const there = registered().world;
    there.actor.exchange.receive("g1", messageOf(bob.key, bob.register()), there.now);
    const records = [...there.actor.exchange.store.records("binding")].filter(({ key }) => key.startsWith("bob"));
    expect(records).toHaveLength(1);
    const answerTo = (text: string): unknown => parseAnswer(world.actor.takePeerBatch(text) ?? "");
    // It asks which start of ours this is, and is told.
    expect(answerTo(batchOf("b", "other", "", 0, []))).toMatchObject({ boot: "ours", received: 0 });
    expect(answerTo(batchOf("b", "other", "ours", 7, records))).toEqual({ boot: "ours", received: 7, ahead: 0 });
    world.advance(100);
    expect(underWay(world)).toEqual({ cells: ["c"], keys: records.map(({ key }) => key) });
    expect(world.actor.takePeerBatch(batchOf("x", "other", "ours", 7, records))).toBeUndefined();
    // Unless that one was in the map, and is removed.
    world.take(() => world.actor.setMap({ ...mapWith(3, "a", "c"), former: ["x"] }));
    expect(answerTo(batchOf("x", "other", "ours", 7, records))).toEqual({ boot: "ours", received: 7, ahead: 0 });
  });
});

describe("a replica that is none any more by a newer map", () => {
  it("[RFC3261 17.2.1] says a refusal once more that its caller has not acknowledged: nobody says it after that", () => {
    const [caller, callee] = [new TestPhone("dora", "198.51.100.10", 5060), new TestPhone("erik", "198.51.100.11", 5060)];
    const { world, gateway } = registered();
    for (const phone of [caller, callee]) gateway.message(phone.key, phone.register());
    world.advance(20);
    world.answerBatches();
    gateway.message(caller.key, caller.request("INVITE", "sip:erik@example.test"));
    const invite = gateway.texts.findLast((text) => text.startsWith("INVITE "));
    const heard = parseMessage(octetsOf(invite ?? ""));
    if (isParseError(heard)) throw new Error(heard.reason);
    gateway.message(callee.key, answer(heard, 486, "erik"));
    const refusals = (): number => gateway.texts.filter((text) => text.startsWith("SIP/2.0 486 ")).length;
    expect([refusals(), gateway.closed]).toEqual([1, []]);
    world.take(() => world.actor.setMap(mapWith(2, "b", "c")));
    expect([refusals(), gateway.closed]).toEqual([2, [`4003 ${movedText}`]]);
    world.advance(10_000);
    expect(refusals()).toBe(2);
  });

  it("serves nobody, says so, and hands over all that it has; then it is empty", () => {
    const { world, gateway } = registered();
    world.happened.length = 0;
    world.take(() => world.actor.setMap(mapWith(2, "b", "c")));
    expect([world.actor.pairState, world.actor.isServing, world.actor.isCaughtUp]).toEqual(["none", false, true]);
    expect(gateway.closed).toEqual([`4003 ${movedText}`]);
    const late = new TestBackhaul(world, "g2");
    expect(late.closed).toEqual([]);
    late.hello("g2");
    expect(late.closed).toEqual([`4003 ${movedText}`]);
    expect(world.lineFrame("b.0", [messageOf(carol.key, carol.register())]).refused).toEqual([movedText]);
    const refused: string[] = [];
    world.take(() =>
      world.actor.whenServing(
        () => refused.push("served"),
        (reason) => refused.push(reason),
      ),
    );
    expect(refused).toEqual([movedText]);
    // Whoever counts on this memory has an older map.
    expect(world.actor.takePeerBatch(batchOf("b", "peer", "ours", 9, []))).toBeUndefined();
    world.advance(50);
    expect(underWay(world).cells).toEqual(["b"]);
    world.answerBatches();
    world.advance(handedOverMs - 1_000);
    expect(world.happened.filter((each) => each.startsWith("empty"))).toEqual([]);
    world.advance(1_100);
    expect(world.happened.filter((each) => each.startsWith("empty"))).toHaveLength(1);
  });

  it("acknowledges nothing that comes afterwards: an ACK, which nobody says again, goes to another replica with its gateway", () => {
    const { world, gateway } = registered();
    gateway.message(bob.key, bob.register());
    world.take(() => world.actor.setMap(mapWith(2, "b", "c")));
    const [frames, { acknowledged }] = [gateway.frames.length, gateway.end.state];
    gateway.message(alice.key, "ACK sip:bob@example.test SIP/2.0\r\nCall-ID: c\r\nCSeq: 1 ACK\r\n\r\n");
    world.answerBatches();
    world.advance(handedOverMs);
    expect([gateway.frames.length, gateway.end.state.acknowledged]).toEqual([frames, acknowledged]);
    // Behind the hello and the first REGISTER: what waited for the peer is said again, too.
    expect(acknowledged).toBe(2);
  });

  it("keeps what the primary has not got", () => {
    const { world } = registered();
    world.take(() => world.actor.setMap(mapWith(2, "b", "c")));
    world.advance(10 * handedOverMs);
    expect(world.happened.filter((each) => each.startsWith("empty"))).toEqual([]);
  });

  it("begins anew when the map gives it back: what happened meanwhile it has not heard", () => {
    const { world } = registered();
    world.take(() => world.actor.setMap(mapWith(2, "b", "c")));
    world.take(() => world.actor.setMap(mapWith(3, "b", "a")));
    expect(world.happened.at(-1)).toBe(`restart: ${againText}`);
  });
});

function refuseAll(world: ActorWorld): void {
  for (const id of world.batches.keys()) {
    world.batches.delete(id);
    world.take(() => world.actor.peerFailed(id, true, refusedCause));
  }
}

describe("a replica that the map has brought to a cell", () => {
  const moved = {
    ...mapWith(2, "b", "a"),
    cells: [
      { id: "x", url: "" },
      { id: "b", url: "" },
      { id: "a", url: "" },
    ],
  };

  it("serves only when it has been told everything, whoever cannot be reached meanwhile", () => {
    const world = new ActorWorld({ map: moved });
    refuseAll(world);
    world.advance(2 * peerSyncMsMax);
    expect(world.actor.pairState).toBe("syncing");
    world.join();
    expect(world.actor.isServing).toBe(true);
  });

  it("serves alone where it was from the first, or has been before", () => {
    for (const options of [{}, { map: moved, memory: memoryFrom(0) }]) {
      const world = new ActorWorld(options);
      refuseAll(world);
      expect(world.actor.pairState).toBe("away");
    }
  });
});
