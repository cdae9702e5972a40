import { describe, expect, it } from "vitest";
import { phoneLostMs, phoneSearchesPerUserMax } from "../../../actors/limits.ts";
import { phoneReturnMs } from "../../../sip/limits.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { exchangeOf } from "../../../cluster/map/cluster-map.ts";
import { serializeFlowKey, type Transport } from "../../../sip/flow/flow.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { CallingPhone } from "./calling-phone.ts";
import { answer, listenerOf, listeners, TestExchange, testMap, TestPhone, type Sent } from "./harness.ts";
import { PairWorld } from "./pair-world.ts";

/** Requests and responses for a phone that has lost its connection and comes back a moment later (docs/failover.md). */

const otherKey = (transport: Transport, port: number, access = "g1"): string =>
  serializeFlowKey({ transport, listener: listenerOf(access, transport), connection: `n${port}`, address: "203.0.113.9", port });

function statuses(sent: readonly Sent[]): string[] {
  return sent.map(({ message }) => (message.isRequest ? message.method : `${message.status} ${message.text(Header.CSeq)?.split(" ")[1]}`));
}

function one(sent: readonly Sent[], what: string): Sent {
  const [first, ...rest] = sent.filter((each) => each.text.startsWith(what));
  if (first === undefined || rest.length > 0) throw new Error(`one ${what} among ${statuses(sent).join(", ")}`);
  return first;
}

/** A gateway dies: every replica loses its backhaul. */
function killGateway(world: PairWorld, access: string): void {
  for (const cell of ["a", "b"] as const) world.replicas[cell].exchange.disconnectAccess(access, world.now);
}

/** A cell dies, and the view says so. */
function killCell(world: PairWorld): void {
  world.kill("a");
  world.replicas.b.exchange.setCells(new Set(["b"]), world.now);
}

type Way = {
  readonly name: string;
  readonly transport: Transport;
  readonly from: string;
  readonly to: string;
  lose(world: PairWorld): void;
};

const ways: readonly Way[] = [
  { name: "TCP, its gateway dies", transport: "TCP", from: "g1", to: "g2", lose: (world) => killGateway(world, "g1") },
  { name: "TLS, its gateway dies", transport: "TLS", from: "g1", to: "g2", lose: (world) => killGateway(world, "g1") },
  { name: "WS, its gateway dies", transport: "WS", from: "g1", to: "g2", lose: (world) => killGateway(world, "g1") },
  { name: "WS, its cell dies", transport: "WS", from: "a.0", to: "b.0", lose: killCell },
];

/** Alice has a desk phone on gateway g2, Bob one connection that will be lost. */
function phones(way: Way): { world: PairWorld; alice: CallingPhone; bob: CallingPhone; comeBack: () => void } {
  const world = new PairWorld();
  const alice = new CallingPhone(world, "alice", "198.51.100.7", 5070, "UDP", "g2");
  const bob = new CallingPhone(world, "bob", "203.0.113.9", 5080, way.transport, way.from);
  for (const phone of [alice, bob]) phone.register();
  const comeBack = (): void => {
    bob.moveTo(way.to, otherKey(way.transport, 6001, way.to));
    bob.register();
  };
  return { world, alice, bob, comeBack };
}

/** What a phone has seen but its registrations, whose answers wait for the peer, while what was held does not. */
function callsOf(phone: CallingPhone): string[] {
  return phone.log.filter((line) => line !== "200 REGISTER");
}

function nothingIsLeft(world: PairWorld): void {
  world.advance(400_000);
  for (const cell of ["a", "b"] as const) {
    if (world.dead.has(cell)) continue;
    const { exchange, now } = world.replicas[cell];
    expect(exchange.counts(now)).toMatchObject({ transactions: 0, dialogs: 0 });
    expect(exchange.nextDeadline()).toBeUndefined();
  }
}

describe.each(ways)("a phone between two connections: $name", (way) => {
  it.each([100, 2_500, 5_500])("a BYE is delivered when it comes back %i ms later, and its 200 arrives", (ms) => {
    const { world, alice, bob, comeBack } = phones(way);
    alice.call("bob");
    world.advance(3_000);
    way.lose(world);
    alice.inDialog("BYE");
    world.advance(ms);
    expect(alice.log.at(-1)).toBe("200 INVITE");
    comeBack();
    world.advance(600);
    expect([alice.log.at(-1), callsOf(bob).at(-1)]).toEqual(["200 BYE", "BYE"]);
    nothingIsLeft(world);
  });

  it("a re-INVITE and its ACK too", () => {
    const { world, alice, bob, comeBack } = phones(way);
    alice.call("bob");
    world.advance(3_000);
    way.lose(world);
    alice.inDialog("INVITE");
    world.advance(1_000);
    comeBack();
    world.advance(3_000);
    expect([alice.log.at(-1), callsOf(bob)]).toEqual(["200 INVITE", ["INVITE", "ACK", "INVITE", "ACK"]]);
  });

  it("an INVITE is delivered, and the call goes on", () => {
    const { world, alice, bob, comeBack } = phones(way);
    way.lose(world);
    alice.call("bob");
    world.advance(2_000);
    expect(alice.log).toEqual(["200 REGISTER"]);
    comeBack();
    world.advance(3_000);
    alice.inDialog("BYE");
    world.advance(1_000);
    expect([alice.log, callsOf(bob)]).toEqual([
      ["200 REGISTER", "200 INVITE", "200 BYE"],
      ["INVITE", "ACK", "BYE"],
    ]);
    nothingIsLeft(world);
  });

  it("an INVITE and a BYE get 480 when it does not come back in time", () => {
    const { world, alice } = phones(way);
    alice.call("bob");
    world.advance(3_000);
    way.lose(world);
    alice.inDialog("BYE");
    world.advance(phoneReturnMs - 200);
    expect(alice.log.at(-1)).toBe("200 INVITE");
    world.advance(400);
    expect(alice.log.at(-1)).toBe("480 BYE");
    alice.call("bob");
    world.advance(phoneReturnMs + 200);
    expect(alice.log.at(-1)).toBe("480 INVITE");
    nothingIsLeft(world);
  });

  it("an INVITE is not held for a connection that was lost long ago", () => {
    const { world, alice } = phones(way);
    way.lose(world);
    world.advance(phoneLostMs + 100);
    alice.call("bob");
    world.advance(200);
    expect(alice.log.at(-1)).toBe("480 INVITE");
  });

  it("[RFC3261 9.2] an INVITE that waits and is cancelled gets 487, and the phone none", () => {
    const { world, alice, bob, comeBack } = phones(way);
    way.lose(world);
    alice.call("bob");
    world.advance(1_000);
    alice.cancel();
    world.advance(200);
    expect(alice.log.slice(1).toSorted()).toEqual(["200 CANCEL", "487 INVITE"]);
    comeBack();
    world.advance(1_000);
    expect(bob.log).not.toContain("INVITE");
    nothingIsLeft(world);
  });
});

describe("what is waited for, and where", () => {
  const [tcp, , ws] = ways;
  if (tcp === undefined || ws === undefined) throw new Error("no ways");

  it("an INVITE goes on waiting at the replica that takes it over", () => {
    const { world, alice, bob, comeBack } = phones(tcp);
    killGateway(world, "g1");
    alice.call("bob");
    world.advance(3_000);
    world.kill("a");
    world.advance(4_000);
    comeBack();
    world.advance(3_000);
    expect([alice.log, callsOf(bob)]).toEqual([
      ["200 REGISTER", "200 INVITE"],
      ["INVITE", "ACK"],
    ]);
    alice.inDialog("BYE");
    nothingIsLeft(world);
  });

  it("a REGISTER that came to the other replica ends the wait of this one", () => {
    const { world, alice, bob } = phones(ws);
    // The line's cell is there, its WebSocket is not; bob comes back through cell b, whose replica of the exchange has the REGISTER.
    alice.call("bob");
    world.advance(3_000);
    world.give("a", "a.0", RecordKind.closed, bob.key, "");
    alice.inDialog("BYE");
    world.advance(500);
    bob.moveTo("b.0", otherKey("WS", 6001, "b.0"));
    bob.register();
    world.advance(600);
    expect([alice.log.at(-1), callsOf(bob).at(-1)]).toEqual(["200 BYE", "BYE"]);
  });

  it("a phone that has taken itself off is not: 480 at once, also when it does so while it is waited for", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    const invite = (): string[] => statuses(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")));
    world.receive(bob.key, bob.register(), bob.access);
    world.receive(bob.key, bob.register(0), bob.access);
    world.record(RecordKind.closed, bob.key, "", bob.access);
    expect(invite()).toEqual(["480 INVITE"]);
    world.receive(bob.key, bob.register(), bob.access);
    world.record(RecordKind.closed, bob.key, "", bob.access);
    expect(invite()).toEqual(["100 INVITE"]);
    const gone = world.receive(otherKey("WS", 6001, bob.access), bob.register(0), bob.access);
    expect(statuses(gone).toSorted()).toEqual(["200 REGISTER", "480 INVITE"]);
  });

  it("a MESSAGE to a phone whose connection closed a moment ago, or that closes under it, waits", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    world.receive(bob.key, bob.register(), bob.access);
    world.record(RecordKind.closed, bob.key, "", bob.access);
    world.advance(1_000);
    expect(world.receive(alice.key, alice.request("MESSAGE", "sip:bob@example.test"))).toEqual([]);
    const key = otherKey("WS", 6001, "a.0");
    expect(one(world.receive(key, bob.register(), bob.access), "MESSAGE").key).toBe(key);
    const second = one(world.receive(alice.key, alice.request("MESSAGE", "sip:bob@example.test")), "MESSAGE");
    expect(world.record(RecordKind.undeliverable, key, second.text, bob.access)).toEqual([]);
    expect(one(world.receive(bob.key, bob.register(), bob.access), "MESSAGE").key).toBe(bob.key);
  });

  it("a MESSAGE under way on a connection that ends is said on the next one at once, not when it has been silent for a while", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    world.receive(bob.key, bob.register(), bob.access);
    one(world.receive(alice.key, alice.request("MESSAGE", "sip:bob@example.test")), "MESSAGE");
    expect(world.record(RecordKind.closed, bob.key, "", bob.access)).toEqual([]);
    const key = otherKey("WS", 6001, "a.0");
    expect(one(world.receive(key, bob.register(), bob.access), "MESSAGE").key).toBe(key);
  });

  it("[RFC5626 5.3] a phone that is reached on its flow only (`ob`): its Contact is not dialled, which would be another phone's address by now", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "TCP");
    const contact = bob.contact.replace(">", ";ob>");
    const register = (): string => bob.register(600, [`Contact: ${contact}`]);
    world.receive(bob.key, register());
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    const ok = one(world.receive(bob.key, answer(invite.message, 200, "b", [`Contact: ${contact}`])), "SIP/2.0 200");
    world.record(RecordKind.closed, bob.key, "");
    const routes = ok.message.values(Header.RecordRoute).map((route) => `Route: ${route}`);
    const bye = alice.request("BYE", contact.slice(1, -1), ["To: <sip:bob@example.test>;tag=b", ...routes]);
    const lost = one(world.receive(alice.key, bye), "BYE");
    expect(lost.key).toBe(bob.key);
    expect(world.record(RecordKind.undeliverable, bob.key, lost.text)).toEqual([]);
    const key = otherKey("TCP", 6001);
    expect(one(world.receive(key, register()), "BYE").key).toBe(key);
  });

  it("nobody, when it is there already: it came back before its first connection was known to be dead", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "TCP");
    world.receive(bob.key, bob.register());
    const swallowed = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    world.advance(3_000);
    const key = otherKey("TCP", 6001);
    expect(one(world.receive(key, bob.register()), "INVITE").key).toBe(key);
    expect(world.record(RecordKind.undeliverable, bob.key, swallowed.text)).toEqual([]);
  });

  it("a phone over TCP whose Contact takes no connection either; it is not called 500", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "TCP");
    world.receive(bob.key, bob.register());
    world.record(RecordKind.closed, bob.key, "");
    const dialled = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    expect(dialled.key).not.toBe(bob.key);
    expect(world.record(RecordKind.undeliverable, dialled.key, dialled.text)).toEqual([]);
    const key = otherKey("TCP", 6001);
    const again = one(world.receive(key, bob.register()), "INVITE");
    expect(again.key).toBe(key);
    world.record(RecordKind.undeliverable, key, again.text);
    expect(statuses(world.advance(phoneReturnMs)).at(-1)).toBe("480 INVITE");
  });

  it("a way: a replica without a backhaul to the phone's gateway uses the same flow and branch when it gets one", () => {
    const world = new TestExchange();
    world.exchange.connectAccess("g2", listeners);
    const alice = new TestPhone("alice", "198.51.100.7", 5070, "UDP", "g2");
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "TCP");
    world.receive(bob.key, bob.register());
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test"), "g2"), "INVITE");
    const ok = one(world.receive(bob.key, answer(invite.message, 200, "b", [`Contact: ${bob.contact}`])), "SIP/2.0 200");
    world.exchange.disconnectAccess("g1", world.now);
    const routes = ok.message.values(Header.RecordRoute).map((route) => `Route: ${route}`);
    const bye = alice.request("BYE", bob.contact.slice(1, -1), ["To: <sip:bob@example.test>;tag=b", ...routes]);
    const dialled = one(world.receive(alice.key, bye, "g2"), "BYE");
    expect(world.record(RecordKind.undeliverable, dialled.key, dialled.text, "g2")).toEqual([]);
    expect(statuses(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test"), "g2"))).toEqual(["100 INVITE"]);
    world.advance(1_000);
    world.exchange.connectAccess("g1", listeners);
    expect(statuses(world.advance(0)).toSorted()).toEqual(["BYE", "INVITE"]);
    expect(world.sent.slice(-2).map(({ key }) => key)).toEqual([bob.key, bob.key]);
  });

  it("a way to a line: the cell comes back into view", () => {
    const world = new TestExchange();
    world.exchange.connectAccess("b.0", [{ transport: "WS", host: "example.test", port: 80 }]);
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS", "b.0");
    world.receive(bob.key, bob.register(), "b.0");
    world.exchange.setCells(new Set(["a"]), world.now);
    expect(statuses(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")))).toEqual(["100 INVITE"]);
    world.advance(500);
    world.exchange.setCells(new Set(["a", "b"]), world.now);
    expect(one(world.advance(0), "INVITE").access).toBe("b.0");
  });

  it("an ACK, and the answer to a BYE, whose phone is on its way back", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070, "WS");
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    for (const phone of [alice, bob]) world.receive(phone.key, phone.register(), "a.0");
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test"), "a.0"), "INVITE");
    const ok = one(world.receive(bob.key, answer(invite.message, 200, "b", [`Contact: ${bob.contact}`]), "a.0"), "SIP/2.0 200");
    const routes = ok.message.values(Header.RecordRoute).map((route) => `Route: ${route}`);
    const inDialog = (method: string): string =>
      alice.request(method, bob.contact.slice(1, -1), ["To: <sip:bob@example.test>;tag=b", ...routes]);
    const ack = one(world.receive(alice.key, inDialog("ACK"), "a.0"), "ACK");
    expect(world.record(RecordKind.undeliverable, bob.key, ack.text, "a.0")).toEqual([]);
    world.record(RecordKind.closed, bob.key, "", "a.0");
    const bobAgain = otherKey("WS", 6001, "a.0");
    expect(one(world.receive(bobAgain, bob.register(), "a.0"), "ACK").key).toBe(bobAgain);

    const bye = one(world.receive(alice.key, inDialog("BYE"), "a.0"), "BYE");
    const answered = one(world.receive(bobAgain, answer(bye.message, 200, "b"), "a.0"), "SIP/2.0 200");
    world.record(RecordKind.closed, alice.key, "", "a.0");
    expect(world.record(RecordKind.undeliverable, alice.key, answered.text, "a.0")).toEqual([]);
    world.advance(1_000);
    const aliceAgain = otherKey("WS", 6002, "a.0");
    const moved = world.receive(aliceAgain, alice.register(), "a.0").filter(({ text }) => text === answered.text);
    expect(moved.map(({ key }) => key)).toEqual([aliceAgain]);
  });

  it("a user of another exchange, which is asked again and again", () => {
    const users = ["alice", "bob", "carol", "dave", "erin", "frank"];
    const map = testMap("open", 2);
    const here = users.find((user) => exchangeOf(map, `${user}@example.test`) === 1) ?? "";
    const there = users.find((user) => exchangeOf(map, `${user}@example.test`) === 0) ?? "";
    const world = new TestExchange("open", { exchange: 1, exchangeCount: 2 });
    const home = new TestExchange("open", { exchange: 0, exchangeCount: 2 });
    const callee = new TestPhone(here, "198.51.100.7", 5070);
    const caller = new TestPhone(there, "203.0.113.9", 5080, "WS");
    world.receive(callee.key, callee.register());
    home.receive(caller.key, caller.register(), "a.0");
    const invite = one(world.receive(caller.key, caller.request("INVITE", `sip:${here}@example.test`), "a.0"), "INVITE");
    world.receive(callee.key, answer(invite.message, 200, "b", [`Contact: ${callee.contact}`]));
    for (const each of [world, home]) each.record(RecordKind.closed, caller.key, "", "a.0");
    const parties = [`From: <sip:${here}@example.test>;tag=b`, `To: <sip:${there}@example.test>;tag=${there}-tag`];
    const routes = invite.message.values(Header.RecordRoute).map((route) => `Route: ${route}`);
    const callId = `Call-ID: ${invite.message.callId}`;
    const bye = one(world.receive(callee.key, callee.request("BYE", caller.contact.slice(1, -1), [...routes, ...parties, callId])), "BYE");
    world.record(RecordKind.undeliverable, caller.key, bye.text, "a.0");
    const tell = (): Sent[] => {
      const question = world.flowsAsked.at(-1);
      if (question === undefined) throw new Error("nobody is asked");
      expect(question).toMatchObject({ addressOfRecord: `${there}@example.test`, exchange: 0 });
      world.exchange.flows(question.reference, home.exchange.flowsOf(question.addressOfRecord, world.now), world.now);
      return world.drain();
    };
    for (const pause of [100, 200, 400]) {
      expect(tell()).toEqual([]);
      world.advance(pause);
    }
    expect(world.flowsAsked).toHaveLength(4);
    const key = otherKey("WS", 6001, "a.0");
    home.receive(key, caller.register(), "a.0");
    const found = one(tell(), "BYE");
    expect(found.key).toBe(key);
    world.receive(key, answer(found.message, 200, "found"));
    world.advance(phoneReturnMs);
    expect(world.flowsAsked).toHaveLength(4);
  });

  it("no more requests than phoneSearchesPerUserMax: what is over it gets 480 at once", () => {
    const world = new TestExchange();
    const mallory = new TestPhone("mallory", "198.51.100.66", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    world.receive(bob.key, bob.register(), "a.0");
    world.record(RecordKind.closed, bob.key, "", "a.0");
    for (let call = 0; call < phoneSearchesPerUserMax; call += 1) {
      expect(world.receive(mallory.key, mallory.request("MESSAGE", "sip:bob@example.test"))).toEqual([]);
    }
    expect(statuses(world.receive(mallory.key, mallory.request("MESSAGE", "sip:bob@example.test")))).toEqual(["480 MESSAGE"]);
    const refused = statuses(world.advance(phoneReturnMs)).filter((each) => each === "480 MESSAGE");
    expect(refused).toHaveLength(phoneSearchesPerUserMax);
    expect(world.receive(mallory.key, mallory.request("MESSAGE", "sip:bob@example.test"))).toEqual([]);
  });

  it("nobody: an idle exchange stays idle, whatever connects and whoever registers", () => {
    const world = new TestExchange();
    world.exchange.connectAccess("g2", listeners);
    world.exchange.setCells(new Set(["a"]), world.now);
    world.exchange.setCells(new Set(["a", "b"]), world.now);
    expect(world.exchange.nextDeadline()).toBeUndefined();
  });
});
