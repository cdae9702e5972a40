import { describe, expect, it } from "vitest";
import { callsWaitingMax, callsWaitingOctetsMax, callsWaitingStrangersShare } from "../../../actors/limits.ts";
import {
  callContactOctetsMax,
  callKeyOctetsMax,
  callPartyOctetsMax,
  callTombstoneMs,
  dialogLifetimeMs,
  dialogUnacknowledgedMs,
  inviteLifetimeMs,
  t1Ms,
  timerCMs,
} from "../../../sip/limits.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";
import { callKey, callRank } from "../../../sip/record/call-record.ts";
import type { Call } from "../../../sip/record/values.ts";
import { version } from "../../sip/record/records.ts";
import { DialogCall, one, told } from "./dialog-call.ts";
import { answer, TestExchange, TestPhone } from "./harness.ts";
import { PairWorld } from "./pair-world.ts";
import { aWorld, type World } from "./two-phones.ts";
import { CallingPhone } from "./calling-phone.ts";

/** Rings, and keeps the INVITEs that it has got. */
class RingingPhone extends CallingPhone {
  override manner = "rings" as const;
  readonly invites: SipMessage[] = [];

  override receive(message: SipMessage, now: number): void {
    if (message.method === "INVITE") this.invites.push(message);
    super.receive(message, now);
  }
}

function callsOf({ exchange }: TestExchange): Call[] {
  return Array.from(exchange.store.records("call"), ({ value }) => value);
}

/** A call that has been answered after it rang for a second, and acknowledged. */
function established({ world, alice, bob }: World): DialogCall {
  const call = new DialogCall(world, alice, bob);
  world.advance(100);
  call.answer(world, 180);
  world.advance(1_000);
  call.answer(world, 200);
  call.send(world, "ACK", "caller");
  return call;
}

describe("what is noted of a call", () => {
  it("is everything, once one of the two has hung up", () => {
    const { world, alice, bob } = aWorld();
    const start = world.now;
    const call = established({ world, alice, bob });
    expect(callsOf(world)).toEqual([]);
    world.advance(60_000);
    const bye = call.send(world, "BYE", "callee");
    expect(callsOf(world)).toEqual([]);
    world.receive(alice.key, answer(one(bye, "BYE").message, 200, "x"));
    expect(callsOf(world)).toEqual([
      {
        rank: callRank("heard", 0),
        caller: "alice@example.test",
        callee: "bob@example.test",
        answeredBy: bob.contact.slice(1, -1),
        start,
        ring: start + 100,
        answer: start + 1_100,
        end: start + 61_100,
        status: 200,
        cause: "calleeHungUp",
        cells: ["a"],
        gateways: ["g1"],
        failovers: 0,
      } satisfies Call,
    ]);
  });

  it.each(["caller", "callee"] as const)("[RFC3261 15.1.1] is that the %s has hung up, though nobody has answered the BYE", (by) => {
    const { world, alice, bob } = aWorld();
    const call = established({ world, alice, bob });
    one(call.send(world, "BYE", by), "BYE");
    world.advance(64 * t1Ms - 1_000);
    expect(world.exchange.counts(world.now).dialogs).toBe(1);
    // RFC 4320 4.2: nobody is told a 408.
    expect(told(world.advance(2_000)).filter((each) => !each.endsWith(" BYE"))).toEqual([]);
    expect(world.exchange.counts(world.now).dialogs).toBe(0);
    expect(callsOf(world)).toMatchObject([{ rank: callRank("heard", 0), cause: by === "caller" ? "callerHungUp" : "calleeHungUp" }]);
  });

  it.each([
    ["a BYE is told 481", "BYE", 481, 0],
    ["a BYE is told 408", "BYE", 408, 0],
    ["an INFO is told nothing", "INFO", undefined, 1],
    ["an UPDATE is told nothing", "UPDATE", undefined, 1],
  ])("[RFC3261 12.2.1.2, 15.1.1] when %s: whether the call is over", (_, method, status, standing) => {
    const { world, alice, bob } = aWorld();
    const request = one(established({ world, alice, bob }).send(world, method, "caller"), method);
    if (status !== undefined) world.receive(bob.key, answer(request.message, status, "callee-tag"));
    else world.advance(65 * t1Ms);
    expect(world.exchange.counts(world.now).dialogs).toBe(standing);
    expect(callsOf(world)).toHaveLength(1 - standing);
  });

  it("is one record for a re-INVITE, a REFER and what is repeated", () => {
    const { world, alice, bob } = aWorld();
    const call = established({ world, alice, bob });
    for (const method of ["INVITE", "REFER"]) {
      const request = one(call.send(world, method, "caller"), method);
      world.receive(bob.key, answer(request.message, 200, "callee-tag", [`Contact: ${bob.contact}`]));
    }
    const text = call.request("BYE", "caller");
    const bye = one(world.receive(alice.key, text), "BYE");
    world.receive(alice.key, text);
    for (let copy = 0; copy < 3; copy += 1) world.receive(bob.key, answer(bye.message, 200, "callee-tag"));
    expect(callsOf(world)).toMatchObject([{ status: 200, cause: "callerHungUp" }]);
  });

  it("is what a phone refused it with, and when", () => {
    const { world, alice, bob } = aWorld();
    const start = world.now;
    const call = new DialogCall(world, alice, bob);
    world.advance(500);
    call.answer(world, 486);
    expect(callsOf(world)).toMatchObject([
      { start, end: start + 500, status: 486, cause: "refused", answeredBy: "", callee: "bob@example.test", gateways: ["g1"] },
    ]);
  });

  it("is the last of what its caller tries under one Call-ID", () => {
    const { world, alice, bob } = aWorld();
    new DialogCall(world, alice, bob, { headers: ["CSeq: 1 INVITE"] }).answer(world, 486);
    new DialogCall(world, alice, bob, { headers: ["CSeq: 2 INVITE"] }).answer(world, 603);
    expect(callsOf(world)).toMatchObject([{ status: 603 }]);
    const third = new DialogCall(world, alice, bob, { headers: ["CSeq: 3 INVITE"] });
    third.answer(world, 200);
    third.send(world, "ACK", "caller");
    const bye = one(third.send(world, "BYE", "caller"), "BYE");
    world.receive(bob.key, answer(bye.message, 200, "callee-tag"));
    expect(callsOf(world)).toMatchObject([{ status: 200, cause: "callerHungUp" }]);
  });

  it.each([
    ["it rang", true, "unanswered"],
    ["no phone has said anything", false, "unreachable"],
  ] as const)("is that nobody answered when %s", (_, hasRung, cause) => {
    const { world, alice, bob } = aWorld();
    const call = new DialogCall(world, alice, bob);
    if (hasRung) call.answer(world, 180);
    world.advance(timerCMs + 40_000);
    expect(callsOf(world)).toMatchObject([{ status: 408, cause }]);
  });

  it("is that nobody is registered there", () => {
    const { world, alice, bob } = aWorld();
    world.receive(bob.key, bob.register(0));
    world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test"));
    world.receive(alice.key, alice.request("INVITE", "sip:nobody@example.test", ["Call-ID: other"]));
    world.advance(40_000);
    expect(callsOf(world)).toMatchObject([
      { callee: "bob@example.test", status: 480, cause: "nobody", gateways: ["g1"] },
      { callee: "nobody@example.test", status: 404, cause: "nobody" },
    ]);
  });

  it("is one record when a second phone answers as well", () => {
    const { world, alice, bob } = aWorld();
    const call = established({ world, alice, bob });
    call.answer(world, 200, [], "other-tag");
    const other = one(call.send(world, "BYE", "caller", { toTag: "other-tag" }), "BYE");
    world.receive(bob.key, answer(other.message, 200, "other-tag"));
    world.advance(5_000);
    const bye = one(call.send(world, "BYE", "caller"), "BYE");
    world.receive(bob.key, answer(bye.message, 200, "callee-tag"));
    expect(callsOf(world)).toMatchObject([{ cause: "callerHungUp", end: world.now, ring: world.now - 6_000 }]);
  });
});

describe("a call of which nothing more is heard", () => {
  it("ends with its session timer, or its lifetime", () => {
    const { world, alice, bob } = aWorld();
    const start = world.now;
    const call = new DialogCall(world, alice, bob);
    call.answer(world, 200, ["Session-Expires: 90;refresher=uac"]);
    call.send(world, "ACK", "caller");
    world.advance(3_600_000);
    world.exchange.sweep(world.now);
    expect(callsOf(world)).toMatchObject([{ cause: "vanished", status: 200, answer: start, answeredBy: bob.contact.slice(1, -1) }]);
    expect(callsOf(world)[0]?.end).toBeLessThan(start + 200_000);
  });

  it("ends at the latest with the lifetime of dialogs, the same at either replica", () => {
    const { world, alice, bob } = aWorld();
    const start = world.now;
    established({ world, alice, bob });
    world.advance(dialogLifetimeMs + callTombstoneMs + 100_000);
    world.exchange.sweep(world.now);
    expect(callsOf(world)).toMatchObject([{ cause: "vanished", end: start + 1_100 + dialogLifetimeMs }]);
  });

  it("ends soon when nobody has acknowledged its answer", () => {
    const { world, alice, bob } = aWorld();
    const start = world.now;
    new DialogCall(world, alice, bob).answer(world, 200);
    world.advance(dialogUnacknowledgedMs + callTombstoneMs + 1_000);
    world.exchange.sweep(world.now);
    expect(callsOf(world)).toMatchObject([{ cause: "unacknowledged", end: start + dialogUnacknowledgedMs }]);
  });
});

describe("a 200 at one replica, and a refusal at the other one", () => {
  it.each([
    ["only passes, for its INVITE is another replica's,", false],
    ["is to an INVITE that both have had in hand", true],
  ])("is no answer, when it %s and nobody acknowledges it", (_, isOfBoth) => {
    const [a, b] = [new TestExchange("open", { cell: "a" }), new TestExchange("open", { cell: "b" })];
    const [alice, bob] = [new TestPhone("alice", "198.51.100.7", 5070), new TestPhone("bob", "203.0.113.9", 5080)];
    for (const phone of [alice, bob]) a.receive(phone.key, phone.register());
    for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromPeer(record, b.now);
    const text = alice.request("INVITE", "sip:bob@example.test");
    const invite = one(
      a.receive(alice.key, text).filter(({ key }) => key === bob.key),
      "INVITE",
    );
    if (isOfBoth) b.receive(alice.key, text);
    one(b.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`])), "SIP/2.0 200");
    a.receive(bob.key, answer(invite.message, 486, "bob-tag"));
    b.advance(dialogUnacknowledgedMs + callTombstoneMs + 1_000);
    b.exchange.sweep(b.now);
    expect(callsOf(b)).toMatchObject([{ status: 200, cause: "unacknowledged" }]);
    for (const [to, from] of [
      [a, b],
      [b, a],
    ] as const)
      for (const record of from.exchange.store.changedSince(0, 1_000, true).records)
        if (record.kind === "call") to.exchange.applyFromPeer(record, to.now);
    for (const each of [a, b]) expect(callsOf(each)).toMatchObject([{ status: 486, cause: "refused" }]);
  });
});

describe("an INVITE of another replica, whose 200 has passed here before its record came", () => {
  it("is answered: it does not ring, and is not lost when its record is forgotten", () => {
    const [a, b] = [new TestExchange("open", { cell: "a" }), new TestExchange("open", { cell: "b" })];
    const [alice, bob] = [new TestPhone("alice", "198.51.100.7", 5070), new TestPhone("bob", "203.0.113.9", 5080)];
    for (const phone of [alice, bob]) a.receive(phone.key, phone.register());
    for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromPeer(record, b.now);
    const call = new DialogCall(a, alice, bob);
    one(call.answer(b, 200), "SIP/2.0 200");
    call.send(b, "ACK", "caller");
    for (const record of a.exchange.store.changedSince(0, 1_000).records)
      if (record.kind === "invite") b.exchange.applyFromPeer(record, b.now);
    expect(b.exchange.store.count("invite")).toBe(1);
    expect(b.exchange.liveCalls(undefined)).toMatchObject([{ status: 200 }]);
    b.advance(2 * inviteLifetimeMs);
    b.exchange.sweep(b.now);
    expect([b.exchange.store.count("invite"), callsOf(b)]).toEqual([0, []]);
  });
});

describe("a call that rings, and that one cell took up twice", () => {
  it("names that cell once, and counts both times", () => {
    const [a, b] = [new TestExchange("open", { cell: "a" }), new TestExchange("open", { cell: "b" })];
    const [alice, bob] = [new TestPhone("alice", "198.51.100.7", 5070), new TestPhone("bob", "203.0.113.9", 5080)];
    for (const phone of [alice, bob]) a.receive(phone.key, phone.register());
    const call = new DialogCall(a, alice, bob);
    call.answer(a, 180);
    for (const record of a.exchange.store.changedSince(0, 1_000).records) {
      if (record.kind !== "invite" || record.value === undefined) continue;
      b.exchange.applyFromPeer({ ...record, value: { ...record.value, earlierCells: ["c", "a"] } }, b.now);
    }
    expect(b.exchange.liveCalls(undefined)).toMatchObject([{ status: 180, cells: ["c", "a"], failovers: 2 }]);
    b.advance(2 * inviteLifetimeMs);
    b.exchange.sweep(b.now);
    expect(callsOf(b)).toMatchObject([{ cause: "lost", cells: ["c", "a"], failovers: 2 }]);
  });
});

describe("an INVITE that rings when both replicas die, and that nobody knows any more", () => {
  it.each([
    [486, "refused"],
    [487, "cancelled"],
  ] as const)("has a record of its call when the phone refuses it: %i", (status, cause) => {
    const { world, alice, bob } = aWorld();
    const call = new DialogCall(world, alice, bob);
    const anew = new TestExchange();
    for (const record of world.exchange.store.takeDirty().put) anew.exchange.restore(record);
    // What is said to be of another call has another branch.
    anew.receive(bob.key, answer(call.invite.message, status, "b").replace("the-call", "another"));
    expect(callsOf(anew)).toEqual([]);
    call.answer(anew, status);
    const value = { caller: "alice@example.test", callee: "bob@example.test", status, cause, cells: ["a"] };
    expect([...anew.exchange.store.records("call")]).toMatchObject([{ key: "the-call caller-tag", value }]);
  });
});

describe("what is no call", () => {
  it("is what is asked for a password, and a stranger's that is refused here", () => {
    const world = new TestExchange("digest");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    one(world.receive(alice.key, alice.request("INVITE", "sip:nobody@example.test")), "SIP/2.0 407");
    for (let scan = 0; scan < 50; scan += 1) {
      const from = "From: <sip:scanner@elsewhere.test>;tag=s";
      world.receive(alice.key, alice.request("INVITE", `sip:${scan}@example.test`, [from, `Call-ID: scan-${scan}`]));
    }
    expect(callsOf(world)).toEqual([]);
  });

  it("is what is over the limit of callsWaitingMax, and the log says how many", () => {
    const { world, alice } = aWorld();
    const { store } = world.exchange;
    for (let n = 0; n < callsWaitingMax; n += 1) {
      world.receive(alice.key, alice.request("INVITE", "sip:nobody@example.test", [`Call-ID: n-${n}`]));
    }
    expect(store.count("call")).toBe(callsWaitingMax);
    for (const callId of ["one more", "another"].map((text) => text.replace(" ", "-"))) {
      world.receive(alice.key, alice.request("INVITE", "sip:nobody@example.test", [`Call-ID: ${callId}`]));
    }
    expect(store.count("call")).toBe(callsWaitingMax);
    world.exchange.sweep(world.now);
    world.drain();
    expect(world.logged).toEqual([expect.stringMatching(/^exchange 0: 2 calls have no record/)]);
  });
});

describe("a stranger's call", () => {
  const from = "From: <sip:somebody@elsewhere.test>;tag=s";

  /** One of a stranger that bob is too busy for. */
  function strangersCall({ world, alice, bob }: World, callId: string, party = from): void {
    new DialogCall(world, alice, bob, { from: party, callId }).answer(world, 486);
  }

  /** Records of strangers' calls as they come from the peer, until so many wait. */
  function fill({ exchange: { store } }: TestExchange, isFull: () => boolean, answeredBy = ""): void {
    for (let n = 0; !isFull(); n += 1) {
      const value = { ...call, answeredBy, isStrangers: true } as const;
      store.apply({ kind: "call", key: callKey(`stranger-${n}`, "s"), version: version(1), value }, "peer");
    }
  }

  const call: Call = {
    rank: callRank("refused", 1),
    caller: "somebody@elsewhere.test",
    callee: "bob@example.test",
    answeredBy: "",
    start: 1,
    end: 2,
    status: 486,
    cause: "refused",
    cells: ["a"],
    gateways: ["g1"],
    failovers: 0,
  };

  it("is noted as one", () => {
    const known = aWorld();
    strangersCall(known, "strangers");
    expect(callsOf(known.world)).toMatchObject([{ caller: "somebody@elsewhere.test", isStrangers: true }]);
    const answered = new DialogCall(known.world, known.alice, known.bob, { from, callId: "answered" });
    answered.answer(known.world, 200);
    known.world.advance(dialogUnacknowledgedMs + callTombstoneMs + 1_000);
    known.world.exchange.sweep(known.world.now);
    expect(callsOf(known.world)).toMatchObject([{ status: 486 }, { status: 200, isStrangers: true }]);
  });

  it("takes no more than a call may, however long its Call-ID, its tag and its names are", () => {
    const known = aWorld();
    const { store } = known.world.exchange;
    for (const last of "abc") {
      const long = `From: <sip:${"s".repeat(900)}@elsewhere.test>;tag=${"t".repeat(7_000)}`;
      strangersCall(known, `${"i".repeat(7_000)}${last}`, long);
    }
    const records = [...store.records("call")];
    expect(records).toHaveLength(3);
    for (const { key, value } of records) {
      expect(key.length).toBeLessThanOrEqual(callKeyOctetsMax);
      expect(value.caller).toBe("s".repeat(callPartyOctetsMax));
    }
    const most = callKeyOctetsMax + 2 * callPartyOctetsMax + callContactOctetsMax + 1_024;
    expect(store.callShares.octets).toBeLessThan(3 * most);
  });

  it.each([
    ["records", (count: number) => count >= callsWaitingMax * callsWaitingStrangersShare, ""],
    ["octets", (_: number, octets: number) => octets >= callsWaitingOctetsMax * callsWaitingStrangersShare, "c".repeat(1_024)],
  ] as const)("is not noted when strangers' share of the %s is full, and a subscriber's is", (_, isFull, answeredBy) => {
    const known = aWorld();
    const { world } = known;
    const { store } = world.exchange;
    fill(world, () => isFull(store.callShares.ofStrangers, store.callShares.octets), answeredBy);
    const count = store.count("call");
    expect(count).toBeLessThan(callsWaitingMax);
    strangersCall(known, "one-more");
    expect(store.count("call")).toBe(count);
    new DialogCall(world, known.alice, known.bob, { callId: "a-subscriber's" }).answer(world, 486);
    expect(callsOf(world).at(-1)).toMatchObject({ caller: "alice@example.test", status: 486 });
    expect(store.count("call")).toBe(count + 1);
    world.exchange.sweep(world.now);
    world.drain();
    expect(world.logged).toEqual([expect.stringMatching(/^exchange 0: 1 calls have no record/)]);
  });

  it("leaves no octets behind when it is collected", () => {
    const known = aWorld();
    strangersCall(known, "strangers");
    const { store } = known.world.exchange;
    const [record] = store.records("call");
    if (record === undefined) throw new Error("no record");
    store.apply({ ...record, value: { ...record.value, rank: callRank("heard", 0), callee: "b".repeat(100) } });
    known.world.exchange.collected([{ ...record, value: { ...record.value, rank: callRank("heard", 0) } }], known.world.now);
    const { octets, ofStrangers, octetsOfStrangers } = store.callShares;
    expect([store.count("call"), octets, ofStrangers, octetsOfStrangers]).toEqual([0, 0, 0, 0]);
  });

  it("finds no room when the octets of all are taken", () => {
    const { world, alice } = aWorld();
    const { store } = world.exchange;
    fill(world, () => store.callShares.octets >= callsWaitingOctetsMax, "c".repeat(1_024));
    const count = store.count("call");
    expect(count).toBeLessThan(callsWaitingMax);
    world.receive(alice.key, alice.request("INVITE", "sip:nobody@example.test", ["Call-ID: a-subscriber's"]));
    expect(store.count("call")).toBe(count);
  });
});

/** Only a has heard its answer, and only b its end. */
function hungUpElsewhere(): PairWorld["replicas"] {
  const world = new PairWorld();
  const alice = new CallingPhone(world, "alice", "198.51.100.7", 5070, "UDP", "g1");
  const bob = new CallingPhone(world, "bob", "203.0.113.9", 5080, "UDP", "g2");
  for (const phone of [alice, bob]) phone.register();
  world.isCut = true;
  alice.call("bob");
  world.advance(3_000);
  world.kill("a");
  alice.inDialog("BYE");
  world.advance(2_000);
  return world.replicas;
}

describe("a call that one replica answers while the other cannot be reached", () => {
  it("has its record when only the other one hears its end", () => {
    const { a, b } = hungUpElsewhere();
    for (const record of b.exchange.store.changedSince(0, 1_000, true).records) a.exchange.applyFromPeer(record, a.now);
    expect(callsOf(a)).toMatchObject([{ caller: "alice@example.test", callee: "bob@example.test", status: 200, cells: ["a"] }]);
    expect([...callsOf(a), ...callsOf(b)].every(({ end, answer: at = 0 }) => end >= at)).toBe(true);
  });

  it("has its record when the cell that alone knew it hands it over after its end", () => {
    const { a, b } = hungUpElsewhere();
    expect(callsOf(b)).toEqual([]);
    for (let times = 0; times < 2; times += 1)
      for (const record of a.exchange.store.changedSince(0, 1_000, true).records) b.exchange.applyFromGuest(record, b.now);
    expect(callsOf(b)).toMatchObject([{ caller: "alice@example.test", callee: "bob@example.test", status: 200, cells: ["a", "b"] }]);
  });

  it("is noted by the one that knows it, where the other one has only seen the answer to a re-INVITE of its callee, and its end", () => {
    const [a, b] = [new TestExchange("open", { cell: "a" }), new TestExchange("open", { cell: "b" })];
    const [alice, bob] = [new TestPhone("alice", "198.51.100.7", 5070), new TestPhone("bob", "203.0.113.9", 5080)];
    for (const phone of [alice, bob]) a.receive(phone.key, phone.register());
    for (const record of a.exchange.store.changedSince(0, 1_000).records) b.exchange.applyFromPeer(record, b.now);
    const call = established({ world: a, alice, bob });
    const reinvite = one(call.send(a, "INVITE", "callee"), "INVITE");
    one(b.receive(alice.key, answer(reinvite.message, 200, "caller-tag", [`Contact: ${alice.contact}`])), "SIP/2.0 200");
    const bye = one(call.send(b, "BYE", "caller"), "BYE");
    one(b.receive(bob.key, answer(bye.message, 200, "callee-tag")), "SIP/2.0 200");
    expect([...b.exchange.liveCalls(undefined), ...callsOf(b)]).toEqual([]);
    for (const record of b.exchange.store.changedSince(0, 1_000).records) a.exchange.applyFromPeer(record, a.now);
    expect(callsOf(a)).toMatchObject([{ caller: "alice@example.test", callee: "bob@example.test", status: 200 }]);
  });

  it.each([
    ["before it is refused", [200, 486]],
    ["after it was refused", [486, 200]],
  ] as const)("was answered, where its caller says it anew after a takeover, and the first INVITE is answered %s", (_, statuses) => {
    const world = new PairWorld();
    const alice = new CallingPhone(world, "alice", "198.51.100.7", 5070, "UDP", "g1");
    const bob = new RingingPhone(world, "bob", "203.0.113.9", 5080, "UDP", "g2");
    for (const phone of [alice, bob]) phone.register();
    world.isCut = true;
    alice.call("bob", ["CSeq: 1 INVITE"]);
    world.settle();
    world.kill("a");
    alice.call("bob", ["CSeq: 2 INVITE"]);
    world.advance(1_000);
    const [first, second] = bob.invites;
    if (first === undefined || second === undefined) throw new Error("an INVITE has not come");
    for (const status of statuses) {
      world.send(bob, answer(status === 200 ? first : second, status, "bob-tag", [`Contact: ${bob.phone.contact}`]));
      world.settle();
    }
    alice.inDialog("BYE");
    world.settle();
    expect(alice.log).toEqual(expect.arrayContaining(["200 INVITE", "486 INVITE", "200 BYE"]));
    expect(callsOf(world.replicas.b)).toMatchObject([{ status: 200, cause: "callerHungUp", cells: ["b"] }]);
  });
});
