import { describe, expect, it } from "vitest";
import type { MemberState, View } from "../../../cluster/group/view.ts";
import { listeners, TestExchange, TestPhone, valuesOf } from "./harness.ts";
import { proofOf } from "./proof.ts";
import { parseRecord, serializeRecord } from "../../../sip/record/record-text.ts";

/** What cell a sees. */
function viewOf(a: MemberState, b: MemberState, gateway: MemberState): View {
  const cells = [
    { id: "a", state: a },
    { id: "b", state: b },
  ];
  const gateways = [{ id: "g1", state: gateway, isGone: gateway === "down" }];
  return { cell: "a", epoch: 2, coordinator: "a", cells, gateways, heartbeat: { periodMs: 1_000, missed: 3 }, isFenced: false };
}

describe("REGISTER without a transaction [RFC3261 8.2.7]", () => {
  it("is answered alike when it comes again, and changes nothing then", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const register = alice.register();
    const [first] = world.receive(alice.key, register);
    const before = world.exchange.store.sequence;
    const [again] = world.receive(alice.key, register);
    expect(first?.message.status).toBe(200);
    expect(again?.text).toBe(first?.text);
    expect(again?.commit).toBe(first?.commit);
    expect(world.exchange.store.sequence).toBe(before);
    expect(world.exchange.counts(world.now)).toMatchObject({ registrations: 1, transactions: 0 });
    expect(world.exchange.nextDeadline()).toBeUndefined();
  });

  it("says how long is left when it comes again later", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const register = alice.register(600);
    const [first] = world.receive(alice.key, register);
    world.advance(4_000);
    const [again] = world.receive(alice.key, register);
    expect(valuesOf(again, "Contact")[0]).toContain("expires=596");
    expect(again?.message.toTag).toBe(first?.message.toTag);
  });

  it("of another one has another tag", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [first] = world.receive(alice.key, alice.register());
    const [second] = world.receive(alice.key, alice.register());
    expect(second?.message.toTag).not.toBe(first?.message.toTag);
    expect(first?.message.toTag).toMatch(/^[0-9a-z]{7}$/);
  });

  it("a challenge leaves nothing behind either, and a repeat is challenged again", () => {
    const world = new TestExchange("digest");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const register = alice.register();
    for (let time = 0; time < 3; time += 1) expect(world.receive(alice.key, register)[0]?.message.status).toBe(401);
    expect(world.exchange.counts(world.now)).toMatchObject({ registrations: 0, transactions: 0 });
  });

  it("credentials count once: their answer is remembered, and repeated as it was", () => {
    const world = new TestExchange("digest");
    world.addSubscriber("alice", "password");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const [challenge] = world.receive(alice.key, alice.register());
    const register = alice.register(600, [proofOf(challenge, "REGISTER", "sip:example.test", "alice")]);
    const [first] = world.receive(alice.key, register);
    expect(first?.message.status).toBe(200);
    expect(world.exchange.counts(world.now).transactions).toBe(1);
    expect(world.receive(alice.key, register)[0]?.text).toBe(first?.text);
  });

  it("[RFC3261 26.3.2.4] credentials that prove nothing leave nothing", () => {
    const world = new TestExchange("digest");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const register = alice.register(600, [
      'Authorization: Digest username="alice", realm="example.test", nonce="x", uri="sip:x", response="y"',
    ]);
    for (let time = 0; time < 3; time += 1) expect(world.receive(alice.key, register)[0]?.message.status).toBe(401);
    expect(world.exchange.counts(world.now).transactions).toBe(0);
  });

  it("what a fenced cell and a domain of somebody else's are answered leaves nothing", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    world.exchange.setFenced(true);
    const [refused] = world.receive(alice.key, alice.register());
    expect(refused?.message.status).toBe(503);
    expect(valuesOf(refused, "Retry-After")).toHaveLength(1);
    world.exchange.setFenced(false);
    const elsewhere = alice.request("REGISTER", "sip:elsewhere.test", ["To: <sip:alice@elsewhere.test>"]);
    expect(world.receive(alice.key, elsewhere)[0]?.message.status).toBe(403);
    expect(world.exchange.counts(world.now)).toMatchObject({ registrations: 0, transactions: 0 });
  });

  it("is listed with the cell that serves it now, whichever took it: never with one that is down", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    world.receive(alice.key, alice.register());
    const primaries = (): string[] => world.exchange.registrations(undefined, world.now).map(({ primary }) => primary);
    const taken = world.exchange.store.records("binding").next().value;
    if (taken === undefined) throw new Error("nobody is registered");
    // As cell b would have made it, a moment later: while a was down, say.
    world.exchange.store.apply({ ...taken, version: `${taken.version.slice(0, -1).replace(/.$/, "z")}b` }, "peer");
    expect(primaries()).toEqual(["a"]);
    for (const [states, serving] of [
      [["up", "up"], "a"],
      [["down", "up"], "b"],
      [["draining", "up"], "b"],
      [["draining", "down"], "a"],
      [["joining", "down"], "a"],
      [["joining", "up"], "b"],
    ] as const) {
      world.exchange.see(viewOf(states[0], states[1], "up"));
      expect(primaries()).toEqual([serving]);
    }
  });

  it("is listed with the gateway or line that the phone can be reached by, and with none that is down", () => {
    const world = new TestExchange();
    for (const [user, transport] of [
      ["alice", "TCP"],
      ["bob", "UDP"],
      ["carol", "WS"],
    ] as const) {
      const phone = new TestPhone(user, "198.51.100.7", 5070, transport);
      world.receive(phone.key, phone.register(), phone.access);
    }
    const ways = (): string[] =>
      world.exchange
        .registrations(undefined, world.now)
        .map(({ aor, gateway, cell }) => `${aor.slice(0, aor.indexOf("@"))} ${gateway} ${cell ?? ""}`.trim())
        .toSorted();
    expect(ways()).toEqual(["alice g1", "bob g1", "carol a.0 a"]);
    world.exchange.see(viewOf("up", "up", "up"));
    world.exchange.disconnectAccess("g1", world.now);
    // It has lost its way to this cell, and other cells see it.
    expect(ways()).toEqual(["alice g1", "bob g1", "carol a.0 a"]);
    world.exchange.see(viewOf("up", "up", "down"));
    expect(ways()).toEqual(["alice", "bob", "carol a.0 a"]);
    // Datagrams can leave by another one.
    world.exchange.connectAccess("g2", listeners);
    expect(ways()).toEqual(["alice", "bob g2", "carol a.0 a"]);
    world.exchange.setCells(new Set(["b"]), world.now);
    expect(ways()).toEqual(["alice", "bob g2", "carol"]);
  });

  it("is listed with the gateway that it came by, also where requests go to its Contact and not on its flow", () => {
    const world = new TestExchange();
    const behindNat = new TestPhone("alice", "198.51.100.7", 40_001);
    const elsewhere = new TestPhone("bob", "198.51.100.8", 5070, "TCP");
    const contact = "Contact: <sip:alice@198.51.100.7:5070>";
    world.receive(behindNat.key, behindNat.register(600, [contact]));
    world.receive(elsewhere.key, elsewhere.register(600, ["Contact: <sip:bob@192.0.2.99:5060;transport=tcp>"]));
    const flows = (): unknown[] => Array.from(world.exchange.store.records("binding"), ({ value }) => value?.flow);
    expect(flows()).toEqual(["", ""]);
    const ways = (): string[] => world.exchange.registrations(undefined, world.now).map(({ gateway }) => gateway);
    expect(ways()).toEqual(["g1", "g1"]);
    // A refresh says it anew, and the peer has it as well.
    world.receive(behindNat.key, behindNat.register(600, [contact]));
    for (const record of world.exchange.store.records("binding")) expect(parseRecord(serializeRecord(record))).toEqual(record);
    world.exchange.see(viewOf("up", "up", "down"));
    world.exchange.disconnectAccess("g1", world.now);
    expect(ways()).toEqual(["", ""]);
    // Datagrams can leave by another one.
    world.exchange.connectAccess("g2", listeners);
    expect(ways()).toEqual(["g2", ""]);
  });

  it("answers where the request came from, over whatever transport", () => {
    for (const transport of ["UDP", "TCP", "TLS", "WS"] as const) {
      const world = new TestExchange();
      const alice = new TestPhone("alice", "198.51.100.7", 5070, transport);
      const [ok] = world.receive(alice.key, alice.register(), alice.access);
      expect(ok).toMatchObject({ access: alice.access, key: alice.key });
      expect(world.exchange.counts(world.now)).toMatchObject({ registrations: 1, transactions: 0 });
    }
  });

  it("the map decides whether a proof is needed", () => {
    const world = new TestExchange("digest");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const register = alice.register();
    expect(world.receive(alice.key, register)[0]?.message.status).toBe(401);
    expect(new TestExchange("open").receive(alice.key, register)[0]?.message.status).toBe(200);
  });
});
