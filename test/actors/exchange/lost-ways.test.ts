import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { resolutionsWaitingMax } from "../../../actors/limits.ts";
import { phoneReturnMs } from "../../../sip/limits.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { exchangeOf } from "../../../cluster/map/cluster-map.ts";
import { routingKeyOf } from "../../../cluster/map/routing-key.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { answer, listeners, testMap, TestExchange, TestPhone, type Sent } from "./harness.ts";
import { finals, found, register, startsOf } from "./what-was-sent.ts";

/** What the simulation found: ways that end in the middle of a call. */

function branchOf({ message: { topVia } }: Sent): { readonly branch: string | undefined } {
  return { branch: isParseError(topVia) ? undefined : topVia.branch };
}

/** A softphone, and the same one on a later connection. */
function softphones(): [TestPhone, TestPhone] {
  const again = new TestPhone("alice", "198.51.100.7", 5099, "WS", "a.0");
  // Branches that it has used on the first one.
  for (let used = 0; used < 9; used += 1) again.request("OPTIONS", "sip:example.test");
  return [new TestPhone("alice", "198.51.100.7", 5070, "WS", "a.0"), again];
}

function registerAgain(world: TestExchange, phone: TestPhone): Sent[] {
  const lines = [`To: <sip:${phone.user}@example.test>`, "Expires: 600", `Call-ID: register-of-${phone.user}`, "CSeq: 9 REGISTER"];
  const sent = world.receive(phone.key, phone.request("REGISTER", "sip:example.test", lines), phone.access);
  found(sent, "SIP/2.0 200");
  return sent;
}

/** Bob's phone on a connection of one gateway, and alice's at another: an OPTIONS under way to him. */
function underWay(transport: "TCP" | "UDP"): { readonly world: TestExchange; readonly alice: TestPhone; readonly bob: TestPhone } {
  const world = new TestExchange();
  world.exchange.connectAccess("g2", [{ transport: "UDP", host: "192.0.2.2", port: 5060 }]);
  const alice = new TestPhone("alice", "198.51.100.7", 5070, "UDP", "g2");
  const bob = new TestPhone("bob", "203.0.113.9", 5080, transport);
  register(world, bob);
  found(world.receive(alice.key, alice.request("OPTIONS", "sip:bob@example.test"), alice.access), "OPTIONS");
  return { world, alice, bob };
}

describe("a gateway whose process has ended", () => {
  it("gives back what was said on its connections and is not answered; the binding waits for it to come back", () => {
    const { world, alice } = underWay("TCP");
    world.exchange.disconnectAccess("g1", world.now);
    world.exchange.accessGone("g1", world.now);
    expect(world.drain()).toEqual([]); // it may be back any moment
    const refusal = found(world.advance(phoneReturnMs), "SIP/2.0 4");
    expect([refusal.access, refusal.key]).toEqual(["g2", alice.key]);
    expect(world.exchange.registrations("bob@example.test", world.now)).toHaveLength(1);
  });

  it("[RFC3261 17.1.2.2] has no part in datagrams: they are said again through another gateway", () => {
    const { world } = underWay("UDP");
    world.exchange.disconnectAccess("g1", world.now);
    world.exchange.accessGone("g1", world.now);
    expect(world.drain()).toEqual([]);
    expect(found(world.advance(600), "OPTIONS").access).toBe("g2");
  });
});

type Standing = {
  readonly world: TestExchange;
  readonly alice: TestPhone;
  readonly bob: TestPhone;
  readonly inDialog: readonly string[];
};

/** Alice, over UDP, has called Bob's softphone, and has hung up nothing yet. */
function standing(): Standing {
  const world = new TestExchange();
  const alice = new TestPhone("alice", "198.51.100.7", 5070);
  const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
  register(world, bob);
  const invite = found(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
  const ok = answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`]);
  const routes = found(world.receive(bob.key, ok, bob.access), "SIP/2.0 200").message.values(Header.RecordRoute);
  const parties = ["From: <sip:bob@example.test>;tag=bob-tag", "To: <sip:alice@example.test>;tag=alice-tag", "Call-ID: call-of-alice"];
  return { world, alice, bob, inDialog: [...parties, ...routes.map((value) => `Route: ${value}`)] };
}

function gatewayEnds(world: TestExchange): void {
  world.exchange.disconnectAccess("g1", world.now);
  world.exchange.accessGone("g1", world.now);
  world.exchange.unreachable("g1", [], world.now);
}

describe("a gateway whose process has ended, and a call of a softphone's with one of its phones", () => {
  it.each(["BYE", "INVITE", "REFER"])(
    "[RFC3261 17.1.2.2] a %s under way goes on when it is back, and is answered by the phone",
    (method) => {
      const { world, alice, bob, inDialog } = standing();
      const request = bob.request(method, alice.contact.slice(1, -1), inDialog);
      const first = found(world.receive(bob.key, request, bob.access), method);
      gatewayEnds(world);
      expect(finals(world.advance(5_000))).toEqual([]);
      world.exchange.connectAccess("g1", listeners);
      const again = found(world.advance(4_000), method);
      expect(again.text).toBe(first.text);
      const ok = world.receive(alice.key, answer(again.message, 200, "alice-tag", [`Contact: ${alice.contact}`]));
      expect(found(ok, "SIP/2.0 200").key).toBe(bob.key);
    },
  );

  it("[RFC3261 17.1.2.2] without it ever coming back the transaction ends by itself: no answer of ours to a BYE", () => {
    const { world, alice, bob, inDialog } = standing();
    found(world.receive(bob.key, bob.request("BYE", alice.contact.slice(1, -1), inDialog), bob.access), "BYE");
    gatewayEnds(world);
    expect(finals(world.advance(64_000))).toEqual([]);
    expect(world.exchange.counts(world.now).transactions).toBe(0);
  });

  it("a request that comes while it is away waits for it", () => {
    const { world, alice, bob, inDialog } = standing();
    gatewayEnds(world);
    expect(world.receive(bob.key, bob.request("BYE", alice.contact.slice(1, -1), inDialog), bob.access)).toEqual([]);
    world.advance(3_000);
    world.exchange.connectAccess("g1", listeners);
    world.drain();
    const [question] = world.resolving;
    expect(question?.uri).toBe("sip:alice@198.51.100.7:5070");
    const sent = world.record(RecordKind.resolved, question?.id ?? "", JSON.stringify([alice.key]));
    expect(found(sent, "BYE").key).toBe(alice.key);
  });

  it("no more of them than resolutionsWaitingMax", () => {
    const { world, alice, bob, inDialog } = standing();
    gatewayEnds(world);
    const send = (): Sent[] => world.receive(bob.key, bob.request("INFO", alice.contact.slice(1, -1), inDialog), bob.access);
    for (let index = 0; index < resolutionsWaitingMax; index += 1) expect(send()).toEqual([]);
    expect(startsOf(send())).toEqual(["SIP/2.0 480"]);
  });
});

describe("a cell that cannot be reached any more", () => {
  it("may have the answer of a softphone: the request is said again where that comes back, as a retransmission", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS", "b.0");
    const bobAgain = new TestPhone("bob", "203.0.113.9", 5081, "WS", "a.0");
    bobAgain.request("OPTIONS", "sip:example.test"); // its first branch was used on the first one
    register(world, bob);
    const first = found(world.receive(alice.key, alice.request("OPTIONS", "sip:bob@example.test")), "OPTIONS");
    world.exchange.setCells(new Set(["a"]), world.now);
    expect(world.drain()).toEqual([]);
    const again = found(registerAgain(world, bobAgain), "OPTIONS");
    expect([again.access, again.message.topVia]).toEqual(["a.0", expect.objectContaining(branchOf(first))]);
    expect(found(world.receive(bobAgain.key, answer(again.message, 200, "bob-tag"), "a.0"), "SIP/2.0 200").key).toBe(alice.key);
  });
});

describe("a way that is lost in the middle of a call", () => {
  it("a dialog is over when its BYE finds nobody [RFC3261 15.1.1]", () => {
    const world = new TestExchange();
    const [alice] = softphones();
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    register(world, bob);
    const invite = found(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test"), alice.access), "INVITE");
    const ok = found(world.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`])), "SIP/2.0 200");
    expect(world.exchange.counts(world.now).dialogs).toBe(1);
    const routes = ok.message.values(Header.RecordRoute).map((value) => `Route: ${value}`);
    const parties = ["From: <sip:bob@example.test>;tag=bob-tag", "To: <sip:alice@example.test>;tag=alice-tag", "Call-ID: call-of-alice"];
    const bye = found(world.receive(bob.key, bob.request("BYE", alice.contact.slice(1, -1), [...parties, ...routes])), "BYE");
    const refused = world.record(RecordKind.undeliverable, alice.key, bye.text, alice.access);
    expect(startsOf(refused)).toEqual(["SIP/2.0 480"]);
    expect(world.exchange.counts(world.now).dialogs).toBe(0);
  });

  it.each(["INFO", "REFER"])("[RFC3261 12.2.1.2] a BYE overtakes a %s: the phone says 481 to that, and its caller hears it", (method) => {
    const world = new TestExchange();
    const [alice, bob] = [new TestPhone("alice", "198.51.100.7", 5070), new TestPhone("bob", "203.0.113.9", 5080)];
    for (const phone of [alice, bob]) register(world, phone);
    const invite = found(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    const ok = found(world.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`])), "SIP/2.0 200");
    const routes = ok.message.values(Header.RecordRoute).map((value) => `Route: ${value}`);
    const send = (sent: string): Sent => {
      const request = alice.request(sent, bob.contact.slice(1, -1), ["To: <sip:bob@example.test>;tag=bob-tag", ...routes]);
      return found(world.receive(alice.key, request), sent);
    };
    const [overtaken, bye] = [send(method), send("BYE")];
    expect(finals(world.receive(bob.key, answer(bye.message, 200, "bob-tag")))).toEqual(["SIP/2.0 200"]);
    // The dialog is over, so nobody is looked for.
    expect(finals(world.receive(bob.key, answer(overtaken.message, 481, "bob-tag")))).toEqual(["SIP/2.0 481"]);
  });

  it("a BYE ends a dialog that only the other replica has heard of, and will tell of later", () => {
    const first = new TestExchange();
    const second = new TestExchange("open", { cell: "b" });
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    register(first, bob);
    const invite = found(first.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    const ok = found(first.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`])), "SIP/2.0 200");
    const routes = ok.message.values(Header.RecordRoute).map((value) => `Route: ${value}`);
    const bye = alice.request("BYE", bob.contact.slice(1, -1), ["To: <sip:bob@example.test>;tag=bob-tag", ...routes]);
    const passed = found(second.receive(alice.key, bye), "BYE");
    found(second.receive(bob.key, answer(passed.message, 200, "bob-tag")), "SIP/2.0 200");
    for (const record of first.exchange.store.changedSince(0, 100, true).records) second.exchange.applyFromPeer(record, second.now);
    expect(second.exchange.counts(second.now).dialogs).toBe(0);
  });

  it("a refusal of an INVITE reaches a caller who comes back on another connection a little later", () => {
    const world = new TestExchange();
    const [alice, aliceAgain] = softphones();
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    register(world, alice);
    register(world, bob);
    const invite = found(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test"), alice.access), "INVITE");
    const busy = found(world.receive(bob.key, answer(invite.message, 486, "bob-tag")), "SIP/2.0 486");
    expect(busy.key).toBe(alice.key);
    world.record(RecordKind.undeliverable, alice.key, busy.text, alice.access);
    world.advance(10_000);
    registerAgain(world, aliceAgain);
    const repeated: Sent[] = [];
    for (let second = 0; second < 5; second += 1) {
      for (const sent of world.advance(1_000)) {
        repeated.push(sent);
        if (sent.key === alice.key) repeated.push(...world.record(RecordKind.undeliverable, sent.key, sent.text, sent.access));
      }
    }
    expect(
      found(
        repeated.filter(({ key }) => key === aliceAgain.key),
        "SIP/2.0 486",
      ).text,
    ).toBe(busy.text);
  });

  it("a refusal that comes once, over a connection, to the replica that has lost the INVITE is not lost with it", () => {
    const first = new TestExchange();
    const second = new TestExchange("open", { cell: "b" });
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS", "a.0");
    register(first, bob);
    const invite = found(first.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    first.receive(bob.key, answer(invite.message, 180, "bob-tag"), bob.access);
    // The first one stands still, its gateway goes to the second, and then it goes on.
    for (const record of first.exchange.store.changedSince(0, 100, true).records) second.exchange.applyFromPeer(record, second.now);
    second.now += 3_000;
    first.now += 3_500;
    second.record(RecordKind.takeover, "", "");
    for (const record of second.exchange.store.changedSince(0, 100).records) first.exchange.applyFromPeer(record, first.now);
    const refused = first.receive(bob.key, answer(invite.message, 486, "bob-tag"), bob.access);
    expect(refused.map(({ key, text }) => [key, text.slice(0, 11)])).toEqual([
      [bob.key, "ACK sip:bob"],
      [alice.key, "SIP/2.0 486"],
    ]);
  });

  it("a CANCEL that comes to the replica that has lost the INVITE cancels it", () => {
    const first = new TestExchange();
    const second = new TestExchange("open", { cell: "b" });
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    register(first, bob);
    const sent = alice.request("INVITE", "sip:bob@example.test");
    const invite = found(first.receive(alice.key, sent), "INVITE");
    first.receive(bob.key, answer(invite.message, 180, "bob-tag"));
    for (const record of first.exchange.store.changedSince(0, 100, true).records) second.exchange.applyFromPeer(record, second.now);
    second.now += 3_000;
    first.now += 3_500;
    second.record(RecordKind.takeover, "", "");
    for (const record of second.exchange.store.changedSince(0, 100).records) first.exchange.applyFromPeer(record, first.now);
    const kept = sent.split("\r\n").filter((line) => /^(?:Via|From|To|Call-ID|Max-Forwards):/.test(line));
    const cSeq = /^CSeq: (\d+)/m.exec(sent)?.[1] ?? "";
    const cancel = ["CANCEL sip:bob@example.test SIP/2.0", ...kept, `CSeq: ${cSeq} CANCEL`, "Content-Length: 0", "", ""].join("\r\n");
    expect(startsOf(first.receive(alice.key, cancel)).toSorted()).toEqual(["CANCEL sip:", "SIP/2.0 200"]);
  });

  it("a 2xx whose INVITE another replica had in hand finds a caller who has come back", () => {
    const first = new TestExchange();
    const second = new TestExchange("open", { cell: "b" });
    const [alice, aliceAgain] = softphones();
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    register(first, alice);
    register(first, bob);
    const invite = found(first.receive(alice.key, alice.request("INVITE", "sip:bob@example.test"), alice.access), "INVITE");
    const octets = answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`]);
    found(first.receive(bob.key, octets), "SIP/2.0 200");
    for (const record of first.exchange.store.changedSince(0, 100, true).records) second.exchange.applyFromPeer(record, second.now);
    registerAgain(second, aliceAgain);
    const lost = found(second.receive(bob.key, octets), "SIP/2.0 200");
    expect(lost.key).toBe(alice.key);
    const moved = second.record(RecordKind.undeliverable, alice.key, lost.text, alice.access);
    expect(moved.map(({ key, text }) => [key, text.slice(0, 11)])).toEqual([[aliceAgain.key, "SIP/2.0 200"]]);
    // Not to and fro: the callee says it again.
    expect(second.record(RecordKind.undeliverable, aliceAgain.key, lost.text, aliceAgain.access)).toEqual([]);
  });
});

/** An INVITE that rings at bob's, on gateway g2, while the gateway of its caller is not there. */
function ringing(world: TestExchange, caller: TestPhone): { readonly bob: TestPhone; readonly invite: Sent } {
  world.exchange.connectAccess("g2", listeners);
  const bob = new TestPhone("bob", "203.0.113.9", 5080, "UDP", "g2");
  register(world, bob);
  const invite = found(world.receive(caller.key, caller.request("INVITE", "sip:bob@example.test")), "INVITE");
  world.receive(bob.key, answer(invite.message, 180, "bob-tag"), bob.access);
  world.exchange.disconnectAccess("g1", world.now);
  return { bob, invite };
}

/** Where answers to an INVITE go. */
function answersOf(sent: readonly Sent[]): string[] {
  const answers = sent.filter(
    ({ message: { isRequest, status, cSeq } }) => !isRequest && status >= 200 && !isParseError(cSeq) && cSeq.method === "INVITE",
  );
  return answers.map(({ access, key, message }) => `${message.status} ${access}~${key}`);
}

/**
 * The gateway is there again, with none of its connections: an answer that has waited for it comes back from wherever it goes. `say`: another
 * exchange says where the caller is.
 */
function startAnew(world: TestExchange, caller: TestPhone, status: number, say: () => Sent[] = () => []): void {
  world.advance(300);
  world.exchange.connectAccess("g1", listeners);
  world.exchange.forgetConnections("g1", world.now);
  let sent = world.advance(0);
  expect(answersOf(sent)).toEqual([`${status} g1~${caller.key}`]);
  for (let tries = 0; tries < 2 && sent.length > 0; tries += 1) {
    const { key, text } = found(sent, `SIP/2.0 ${status}`);
    sent = [...world.record(RecordKind.undeliverable, key, text), ...say()];
  }
  expect(answersOf(sent)).toEqual([]);
}

describe("a gateway that starts anew while the answer to an INVITE waits for it", () => {
  it.each([
    ["TCP", 200],
    ["TCP", 486],
    ["WSS", 200],
    ["WSS", 486],
  ] as const)("%s, %i: the way is there again and the connection is not; the caller gets it at another gateway", (transport, status) => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070, transport);
    register(world, alice);
    const { bob, invite } = ringing(world, alice);
    const octets = answer(invite.message, status, "bob-tag", [`Contact: ${bob.contact}`]);
    expect(answersOf(world.receive(bob.key, octets, bob.access))).toEqual([]);
    startAnew(world, alice, status);
    world.advance(100);
    expect(answersOf(world.receive(alice.key, alice.register(), "g2"))).toEqual([`${status} g2~${alice.key}`]);
  });

  it("also a caller of another exchange, which holds the old connection for good a little longer", () => {
    const map = testMap("open", 2);
    const here = exchangeOf(map, "bob@example.test");
    const user = ["alice", "carol", "dave", "erin"].find((each) => exchangeOf(map, `${each}@example.test`) !== here) ?? "";
    const world = new TestExchange("open", { exchange: here, exchangeCount: 2 });
    const home = new TestExchange("open", { exchange: 1 - here, exchangeCount: 2 });
    home.exchange.connectAccess("g2", listeners);
    const caller = new TestPhone(user, "198.51.100.7", 5070, "TCP");
    register(home, caller);
    const say = (): Sent[] => {
      const { addressOfRecord, reference } = world.flowsAsked.at(-1) ?? { addressOfRecord: "", reference: "" };
      world.exchange.flows(reference, home.exchange.flowsOf(addressOfRecord, world.now), world.now);
      return world.drain();
    };
    const { bob, invite } = ringing(world, caller);
    world.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`]), bob.access);
    expect(answersOf(say())).toEqual([]);
    startAnew(world, caller, 200, say);
    home.receive(caller.key, caller.register(), "g2");
    world.advance(100);
    expect(answersOf(say())).toEqual([`200 g2~${caller.key}`]);
  });
});

type Cut = {
  /** Replica a. */
  readonly first: TestExchange;
  /** Replica b. */
  readonly second: TestExchange;
  readonly alice: TestPhone;
  readonly bob: TestPhone;
  /** The BYE of bob's as alice has it from the second replica. */
  readonly bye: Sent;
};

/**
 * A call that replica a has set up, of alice on a line of `cell` and bob on one of cell b. Then the cells are cut off from each other: bob's line gives
 * his BYE to replica b behind a `takeover`, for nobody can tell a cut from a dead cell.
 */
function hungUpInACut(cell: "a" | "b"): Cut {
  const first = new TestExchange();
  const second = new TestExchange("open", { cell: "b" });
  for (const { exchange } of [first, second]) exchange.connectAccess("b.0", [{ transport: "WS", host: "example.test", port: 80 }]);
  const alice = new TestPhone("alice", "198.51.100.7", 5070, "WS", `${cell}.0`);
  const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS", "b.0");
  for (const phone of [alice, bob]) register(first, phone);
  const invite = found(first.receive(alice.key, alice.request("INVITE", "sip:bob@example.test"), alice.access), "INVITE");
  const accepted = answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`]);
  const ok = found(first.receive(bob.key, accepted, bob.access), "SIP/2.0 200");
  for (const record of first.exchange.store.changedSince(0, 100, true).records) second.exchange.applyFromPeer(record, second.now);
  const routes = ok.message.values(Header.RecordRoute).map((value) => `Route: ${value}`);
  const parties = ["From: <sip:bob@example.test>;tag=bob-tag", "To: <sip:alice@example.test>;tag=alice-tag", "Call-ID: call-of-alice"];
  const request = bob.request("BYE", alice.contact.slice(1, -1), [...parties, ...routes]);
  second.record(RecordKind.takeover, "", "", bob.access);
  const bye = found(second.receive(bob.key, request, bob.access), "BYE");
  first.exchange.setCells(new Set(["a"]), first.now);
  return { first, second, alice, bob, bye };
}

/** The answer that alice gives, to the replica of her own cell, for her line cannot reach the other one. */
function answeredAtTheOther({ first, alice, bye }: Cut): Sent[] {
  return first.receive(alice.key, answer(bye.message, 200, "alice-tag"), alice.access);
}

describe("a cut between the cells, which each takes for the end of the other", () => {
  it("what a replica forwards after a takeover is answered to itself: the other one may live, and know nothing of it", () => {
    const { second, alice, bob, bye } = hungUpInACut("b");
    const octets = octetsOf(answer(bye.message, 200, "alice-tag"));
    expect(routingKeyOf(octets, 0, octets.length, testMap())).toEqual({ exchange: 0, cell: "b" });
    const ok = found(second.receive(alice.key, octets, alice.access), "SIP/2.0 200");
    expect([ok.access, ok.key]).toEqual([bob.access, bob.key]);
  });

  it("the answer to a BYE of the other replica's goes on when the way to its phone opens, though the dialog is over with it", () => {
    const cut = hungUpInACut("a");
    const { first, bob } = cut;
    expect(answeredAtTheOther(cut)).toEqual([]);
    expect(first.exchange.counts(first.now).dialogs).toBe(0);
    first.advance(phoneReturnMs - 1_000);
    first.exchange.setCells(new Set(["a", "b"]), first.now);
    const ok = found(first.advance(0), "SIP/2.0 200");
    expect([ok.access, ok.key]).toEqual([bob.access, bob.key]);
    expect(first.advance(phoneReturnMs)).toEqual([]);
  });

  it("also at a replica that has never heard of the dialog", () => {
    const cut = hungUpInACut("a");
    const stranger = new TestExchange();
    stranger.exchange.connectAccess("b.0", [{ transport: "WS", host: "example.test", port: 80 }]);
    stranger.exchange.setCells(new Set(["a"]), stranger.now);
    expect(answeredAtTheOther({ ...cut, first: stranger })).toEqual([]);
    stranger.exchange.setCells(new Set(["a", "b"]), stranger.now);
    expect(found(stranger.advance(0), "SIP/2.0 200").key).toBe(cut.bob.key);
  });

  it("or at once, to a phone that has a flow in this half as well", () => {
    const cut = hungUpInACut("a");
    const { first } = cut;
    const bobHere = new TestPhone("bob", "203.0.113.9", 5081, "WS", "a.0");
    bobHere.request("OPTIONS", "sip:example.test"); // its first branch was used on the other flow
    registerAgain(first, bobHere);
    const ok = found(answeredAtTheOther(cut), "SIP/2.0 200");
    expect([ok.access, ok.key]).toEqual([bobHere.access, bobHere.key]);
  });
});

describe("a gateway that started anew while this replica was away", () => {
  it("loses the phones of the start before, and none that the peer has registered since", () => {
    const world = new TestExchange();
    // Names of connections begin with the start that they were made in.
    const [before, since] = [new TestPhone("alice", "198.51.100.7", 5070, "WSS"), new TestPhone("bob", "203.0.113.9", 6080, "WSS")];
    const peer = new TestExchange("open", { cell: "b" });
    for (const phone of [before, since]) register(peer, phone);
    for (const record of peer.exchange.store.changedSince(0, 1_000).records) world.exchange.applyFromPeer(record, world.now);
    world.exchange.forgetConnections("g1", world.now, "c6");
    expect(world.exchange.registrations(undefined, world.now).map(({ aor }) => aor)).toEqual(["bob@example.test"]);
    // Of another start, all are gone.
    world.exchange.forgetConnections("g1", world.now, "c7");
    expect(world.exchange.registrations(undefined, world.now)).toEqual([]);
  });
});
