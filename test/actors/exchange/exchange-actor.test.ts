import { describe, expect, it, vi } from "vitest";
import { frameAnswerMsMax, inputsWaitingMax, sweepAlarmMs } from "../../../actors/limits.ts";
import { encodeFrame, RecordKind, type Frame } from "../../../cluster/backhaul/frame.ts";
import { keptQuestion } from "../../../cluster/backhaul/kept.ts";
import { peerDelayMs, peerDistanceMsMin } from "../../../cluster/limits.ts";
import type { View } from "../../../cluster/group/view.ts";
import { refusedCause } from "../../../cluster/replication/peer-link.ts";
import type { StateRecord } from "../../../sip/record/state-record.ts";
import { secretsOf } from "../../../sip/auth/digest.ts";
import { ActorWorld, messageOf, textsOf, type TestBackhaul } from "./actor-world.ts";
import { hash, TestPhone } from "./harness.ts";

const alice = new TestPhone("alice", "198.51.100.7", 5060, "TCP");
const bob = new TestPhone("bob", "198.51.100.8", 5060, "TCP");
const dave = new TestPhone("dave", "198.51.100.10", 5060, "TCP");
const carol = new TestPhone("carol", "198.51.100.9", 5060, "WS");
const dora = new TestPhone("dora", "198.51.100.11", 5060, "WS");
const nothing = new Uint8Array(0);

function view(b: "up" | "down", gateways: View["gateways"] = []): View {
  const cells = [
    { id: "a", state: "up" as const },
    { id: "b", state: b },
  ];
  return { cell: "a", epoch: 2, coordinator: "a", cells, gateways, heartbeat: { periodMs: 1_000, missed: 3 }, isFenced: false };
}

/** Statuses of the responses that a gateway was given. */
function statusesOf({ texts }: TestBackhaul): string[] {
  return texts.filter((text) => text.startsWith("SIP/2.0")).map((text) => text.slice(8, 11));
}

/** What answers to a line say of what is kept. */
function keptBy(answers: readonly (Frame | undefined)[]): (string | undefined)[] {
  return answers.map((frame) => frame?.records[0]?.key);
}

/** What an exchange knows while carol's phone rings, for a caller at another access. */
function ringing(callers: string, callees: string): StateRecord[] {
  const world = new ActorWorld().join();
  world.backhaul();
  const { store } = world.actor.exchange;
  world.actor.exchange.receive(callees, messageOf(carol.key, carol.register()), world.now);
  world.actor.exchange.receive(callers, messageOf(dora.key, dora.request("INVITE", "sip:carol@example.test")), world.now);
  return [...store.records("binding"), ...store.records("invite")];
}

function textsToLines({ toLines }: ActorWorld): string[] {
  return toLines.flatMap(({ frame }) => textsOf(frame.records));
}

describe("an exchange actor that has a peer", () => {
  it("waits with all input until it has caught up, and takes it in order then", () => {
    const world = new ActorWorld();
    const gateway = world.backhaul();
    gateway.message(alice.key, alice.register());
    const asked: string[][] = [];
    world.take(() =>
      world.actor.whenServing(
        () => asked.push(registered(world)),
        () => {},
      ),
    );
    expect([world.actor.pairState, registered(world), asked]).toEqual(["syncing", [], []]);
    world.join();
    expect([world.actor.pairState, registered(world), asked]).toEqual(["together", ["alice@example.test"], [["alice@example.test"]]]);
  });

  it("tells the core group that it has caught up, when that was asked for", () => {
    const world = new ActorWorld();
    expect(world.happened).toContain("view, syncing");
    world.take(() => world.actor.setFirstView(view("up")));
    expect(world.happened).not.toContain("caught up");
    world.join();
    world.take(() => world.actor.setFirstView(view("up")));
    expect(world.happened.filter((each) => each === "caught up")).toHaveLength(1);
  });

  it("goes on with calls between softphones that an earlier start had in hand, when it has caught up", () => {
    const world = new ActorWorld({ disk: ringing("a.0", "a.0") });
    expect(textsToLines(world)).toEqual([]);
    world.join();
    expect(textsToLines(world)).toEqual([expect.stringMatching(/^INVITE /)]);
  });

  it("leaves calls by which a gateway is concerned to that gateway's word", () => {
    const world = new ActorWorld({ disk: ringing("a.0", "g1") }).join();
    const gateway = world.backhaul();
    expect(gateway.texts).toEqual([]);
    gateway.give([{ kind: RecordKind.takeover, key: "", octets: nothing }]);
    expect(gateway.texts).toEqual([expect.stringMatching(/^INVITE /)]);
  });

  it(`refuses what an access can say elsewhere when ${inputsWaitingMax} inputs wait`, () => {
    const world = new ActorWorld();
    const gateway = world.backhaul();
    for (let each = 1; each < inputsWaitingMax; each += 1)
      world.actor.whenServing(
        () => {},
        () => {},
      );
    const ofLine = world.lineFrame("a.0", [messageOf(carol.key, carol.register())]);
    gateway.message(alice.key, alice.register());
    expect(gateway.closed).toEqual(["1013 too much waits for this replica to serve"]);
    expect([ofLine.answers, ofLine.refused]).toEqual([[], ["too much waits for this replica to serve"]]);
    world.join();
    expect(registered(world)).toEqual([]);
  });

  it("sends a 200 to a REGISTER when the peer has the binding, and acknowledges the frame with it", () => {
    const world = new ActorWorld().join();
    const gateway = world.backhaul();
    gateway.message(alice.key, alice.register());
    expect(statusesOf(gateway)).toEqual([]);
    world.answerBatches();
    expect(statusesOf(gateway)).toEqual(["200"]);
    expect(gateway.frames.at(-1)).toMatchObject({ ack: 2 });
    expect(gateway.frames.filter(({ ack }) => ack === 2)).toHaveLength(1);
  });

  it("sends what one answer of the peer sets free in one frame", () => {
    const world = new ActorWorld().join();
    const gateway = world.backhaul();
    // The first leaves at once, the others together a little behind it.
    for (const phone of [alice, bob, dave]) gateway.message(phone.key, phone.register());
    const before = gateway.frames.length;
    world.answerBatches();
    world.advance(peerDistanceMsMin);
    world.answerBatches();
    expect(statusesOf(gateway)).toEqual(["200", "200", "200"]);
    expect(gateway.frames.slice(before).map(({ records }) => records.length)).toEqual([1, 2]);
  });

  it("writes first and sends then, when the peer is not there", () => {
    const world = new ActorWorld().join();
    const gateway = world.backhaul();
    gateway.message(alice.key, alice.register());
    const [id] = [...world.batches.keys()];
    world.batches.clear();
    world.happened.length = 0;
    world.take(() => world.actor.peerFailed(id ?? 0, true, refusedCause));
    expect(world.happened).toEqual(["away", "suspect b: connection refused", "write", "send"]);
    expect(statusesOf(gateway)).toEqual(["200"]);
  });

  it("says whose doing it is that the pair is another one, by name, and that a cell that was down is up again", () => {
    const world = new ActorWorld().join();
    const gateway = world.backhaul();
    gateway.message(alice.key, alice.register());
    world.causes.length = 0;
    const [id = 0] = [...world.batches.keys()];
    world.batches.clear();
    world.take(() => world.actor.peerFailed(id, true, refusedCause));
    for (const state of ["down", "up", "up", "down"] as const) world.take(() => world.actor.setView(view(state)));
    world.answerBatches();
    expect(world.causes).toEqual([
      "cell b: connection refused",
      "cell b is down",
      "cell b is up again, and has not answered yet",
      "cell b is down",
      "cell b has everything",
    ]);
  });

  it("answers a line of its own cell at once, and one of another cell when the peer has everything", () => {
    const world = new ActorWorld().join();
    const options = new TestPhone("carol", "198.51.100.9", 5060, "WS").request("OPTIONS", "sip:example.test");
    expect(world.lineFrame("a.0", [messageOf(carol.key, options)]).answers).toHaveLength(1);
    const unregister = { kind: RecordKind.closed, key: carol.key, octets: nothing };
    world.lineFrame("b.0", [messageOf(carol.key, carol.register())]);
    world.answerBatches();
    world.advance(peerDistanceMsMin);
    const far = world.lineFrame("b.0", [messageOf(carol.key, carol.register()), unregister]);
    expect(far.answers).toHaveLength(0);
    world.answerBatches();
    expect(far.answers).toHaveLength(1);
    expect(textsOf(far.answers[0]?.records ?? [])[0]).toMatch(/^SIP\/2\.0 200 /);
  });

  it("tells a line of its own cell what is kept, and answers its question for that when the peer has everything", () => {
    const world = new ActorWorld().join();
    world.lineFrame("a.0", [messageOf(carol.key, carol.register())]);
    world.answerBatches();
    world.advance(peerDelayMs);
    const invite = messageOf(carol.key, carol.request("INVITE", "sip:carol@example.test"));
    // The INVITE is known here only, and answered.
    expect(keptBy(world.lineFrame("a.0", [invite]).answers)).toEqual(["1 ours"]);
    const { answers } = world.lineFrame("a.0", [keptQuestion]);
    expect(answers).toEqual([]);
    world.advance(peerDelayMs);
    world.answerBatches();
    expect(keptBy(answers)).toEqual(["3 ours"]);
  });

  it("does not let an answer to a line overtake what is under way to it", () => {
    const world = new ActorWorld().join();
    world.lineFrame("a.0", [messageOf(carol.key, carol.register())]);
    world.answerBatches();
    const gateway = world.backhaul();
    gateway.message(alice.key, alice.request("INVITE", "sip:carol@example.test"));
    expect(world.toLines).toHaveLength(1);
    const { answers } = world.lineFrame("a.0", [messageOf(carol.key, carol.request("OPTIONS", "sip:example.test"))]);
    expect(answers.map((frame) => frame?.records.filter(({ kind }) => kind !== RecordKind.kept))).toEqual([[]]);
    world.take(() => world.toLines[0]?.done(encodeFrame(0, 0, [])));
    expect(textsOf(world.toLines[1]?.frame.records ?? [])[0]).toMatch(/^SIP\/2\.0 200 /);
  });

  it("takes no new request of a frame that comes too late", () => {
    const world = new ActorWorld().join();
    const { answers } = world.lineFrame("a.0", [messageOf(carol.key, carol.request("INVITE", "sip:alice@example.test"))], world.now - 1);
    expect([answers, world.actor.exchange.counts(world.now).transactions, world.toLines]).toEqual([[undefined], 0, []]);
  });

  it("looks for another way when a line cannot be reached, and says what waited too long for it", () => {
    const world = new ActorWorld().join();
    world.lineFrame("a.0", [messageOf(carol.key, carol.register())]);
    world.answerBatches();
    const gateway = world.backhaul();
    gateway.message(alice.key, alice.request("INVITE", "sip:carol@example.test", ["Call-ID: one"]));
    gateway.message(bob.key, bob.request("INVITE", "sip:carol@example.test", ["Call-ID: two"]));
    expect(world.toLines).toHaveLength(1);
    world.advance(frameAnswerMsMax);
    world.take(() => world.toLines[0]?.done(undefined));
    expect(world.toLines).toHaveLength(1);
    world.advance(10_000);
    world.answerBatches();
    expect(statusesOf(gateway).filter((status) => status !== "100")).toEqual(["480", "480"]);
  });

  it("says when a record breaks an invariant, and takes those behind it all the same", () => {
    const world = new ActorWorld().join();
    const gateway = world.backhaul();
    vi.spyOn(world.actor.exchange, "receive").mockImplementationOnce(() => {
      throw new Error("an invariant is broken");
    });
    gateway.give([messageOf(alice.key, alice.register()), messageOf(bob.key, bob.register())]);
    world.answerBatches();
    expect([registered(world), world.thrown.map(String)]).toEqual([["bob@example.test"], ["Error: an invariant is broken"]]);
    expect(gateway.frames.at(-1)).toMatchObject({ ack: 2 });
  });

  it("tells the core once that a gateway's process has ended", () => {
    const world = new ActorWorld().join();
    const accessGone = vi.spyOn(world.actor.exchange, "accessGone");
    for (const isGone of [true, true, false, true]) {
      world.take(() => world.actor.setView(view("up", [{ id: "g1", state: "down", isGone }])));
    }
    expect(accessGone).toHaveBeenCalledTimes(2);
  });

  it("sends again what a gateway may not have got, on its next backhaul", () => {
    const world = new ActorWorld().join();
    const first = world.backhaul();
    first.message(alice.key, alice.request("OPTIONS", "sip:example.test"));
    expect(statusesOf(first)).toEqual(["200"]);
    const second = world.backhaul();
    expect(statusesOf(second)).toEqual(["200"]);
    expect(first.closed).toEqual(["4001 replaced by a newer backhaul"]);
  });
});

describe("an exchange actor without a peer", () => {
  it("serves at once, and writes before it sends", () => {
    const world = new ActorWorld({ isAlone: true });
    expect([world.actor.pairState, world.actor.isServing]).toEqual(["alone", true]);
    const gateway = world.backhaul();
    world.happened.length = 0;
    gateway.message(alice.key, alice.register());
    expect(world.happened).toEqual(["write", "send"]);
    expect(statusesOf(gateway)).toEqual(["200"]);
  });

  it("writes once for the commits of a moment", () => {
    const world = new ActorWorld({ isAlone: true });
    const gateway = world.backhaul();
    for (const phone of [alice, bob, carol]) gateway.message(phone.key, phone.register());
    expect(statusesOf(gateway)).toEqual(["200"]);
    world.advance(20);
    expect(statusesOf(gateway)).toEqual(["200", "200", "200"]);
    expect(world.happened.filter((each) => each === "write")).toHaveLength(2);
  });

  it("sends nothing that is to be kept while nobody knows whether there is room", () => {
    const world = new ActorWorld({ isAlone: true });
    world.isRoomKnown = false;
    const gateway = world.backhaul();
    gateway.message(alice.key, alice.register());
    expect([statusesOf(gateway), world.rows]).toEqual([[], 0]);
    world.take(() => world.room[0]?.(true));
    expect([statusesOf(gateway), world.rows]).toEqual([["200"], 1]);
  });

  it("refuses registrations while the disk is full", () => {
    const world = new ActorWorld({ isAlone: true });
    world.isRoomKnown = false;
    world.isFull = true;
    const gateway = world.backhaul();
    world.take(() => world.actor.askForRoomAtFirst(() => {}));
    world.take(() => world.room[0]?.(false));
    gateway.message(alice.key, alice.register());
    expect(statusesOf(gateway)).toEqual(["503"]);
  });

  it("rests when nothing is in progress, and has itself woken for what will expire", () => {
    const world = new ActorWorld({ isAlone: true });
    const gateway = world.backhaul();
    expect([world.resting, world.alarmAt]).toEqual([world.actor.exchange.orphansUntil, undefined]);
    gateway.message(bob.key, bob.register());
    gateway.message(alice.key, alice.request("INVITE", "sip:bob@example.test"));
    expect(world.resting).toBeUndefined();
    gateway.message(alice.key, alice.request("CANCEL", "sip:bob@example.test"));
    world.advance(600_000);
    expect([world.timers.size, world.resting]).toEqual([0, world.actor.exchange.orphansUntil]);
    expect(world.alarmAt).toBeGreaterThan(sweepAlarmMs);
  });

  it("puts and removes subscribers when there is room, and takes them back when there was none in the end", () => {
    const world = new ActorWorld({ isAlone: true });
    const told: unknown[] = [];
    const change = { aor: "dave@example.test", ...secretsOf(hash, "dave@example.test", "secret") };
    const put = (): void => world.take(() => world.actor.changes.put([change], (outcome) => told.push(outcome)));
    put();
    world.take(() => world.actor.changes.remove(change.aor, (outcome) => told.push(outcome)));
    expect(told).toEqual([0, true]);
    world.isRoomKnown = false;
    put();
    world.isFull = true;
    world.take(() => world.room.shift()?.(false));
    expect(told).toEqual([0, true, "full"]);
    put();
    world.take(() => world.room.shift()?.(true));
    world.take(() => world.room.shift()?.(false));
    expect(told).toEqual([0, true, "full", "full"]);
    expect(world.actor.exchange.subscribers()).toEqual([]);
  });
});

function registered(world: ActorWorld): string[] {
  return world.actor.exchange.registrations(undefined, world.now).map(({ aor }) => aor);
}
