import { describe, expect, it } from "vitest";
import { Header } from "../../../sip/message/header-names.ts";
import type { Transport } from "../../../sip/flow/flow.ts";
import { phoneReturnMs } from "../../../sip/limits.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { answer, TestExchange, TestPhone, valuesOf, type Sent } from "./harness.ts";

function one(sent: readonly Sent[], what: string): Sent {
  const found = sent.filter((each) => each.text.startsWith(what));
  expect(
    found.map((each) => each.text.split("\r\n")[0]),
    `one ${what} among ${sent.map((each) => each.text.split("\r\n")[0]).join(" | ")}`,
  ).toHaveLength(1);
  const [first] = found;
  if (first === undefined) throw new Error(`no ${what}`);
  return first;
}

function registered(world: TestExchange, ...phones: readonly TestPhone[]): void {
  for (const phone of phones) one(world.receive(phone.key, phone.register(), phone.access), "SIP/2.0 200");
}

/** The Route values that a caller (reversed) or callee (as they stand) uses, from a message's Record-Route (RFC 3261 12.1). */
function routesOf(sent: Sent, reversed: boolean): string[] {
  const values = sent.message.values(Header.RecordRoute);
  return (reversed ? values.toReversed() : values).map((value) => `Route: ${value}`);
}

/** Where phones are: at a gateway over each of its transports, or at a line. */
const places: readonly (readonly [Transport, access: string])[] = [
  ["UDP", "g1"],
  ["TCP", "g1"],
  ["TLS", "g1"],
  ["WS", "g1"],
  ["WSS", "g1"],
  ["WS", "a.0"],
];
const pairings = places.flatMap((from) => places.map((to) => [from, to] as const));

describe("a call through the exchange", () => {
  it.each(pairings)("from %j to %j: INVITE, 100, 180, 200, ACK, re-INVITE from the callee, BYE", (from, to) => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070, ...from);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, ...to);
    registered(world, alice, bob);

    const first = world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test", [], "v=0"), alice.access);
    expect(one(first, "SIP/2.0 100").key).toBe(alice.key);
    const invite = one(first, "INVITE");
    expect([invite.access, invite.key]).toEqual([bob.access, bob.key]);
    expect(invite.message.requestUri).toBe(bob.contact.slice(1, -1));
    expect(invite.message.text(Header.MaxForwards)).toBe("69");
    expect(invite.text.endsWith("\r\n\r\nv=0")).toBe(true);
    expect(invite.message.values(Header.RecordRoute)).toHaveLength(from === to ? 1 : 2);

    const ringing = world.receive(bob.key, answer(invite.message, 180, "bob-tag"), bob.access);
    expect(one(ringing, "SIP/2.0 180").key).toBe(alice.key);
    const answered = world.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`]), bob.access);
    const ok = one(answered, "SIP/2.0 200");
    expect([ok.access, ok.key]).toEqual([alice.access, alice.key]);
    expect(valuesOf(ok, "Via")).toHaveLength(1);
    expect(world.exchange.counts(world.now).dialogs).toBe(1);

    const toBob = ["To: <sip:bob@example.test>;tag=bob-tag"];
    const ack = alice.request("ACK", bob.contact.slice(1, -1), [...toBob, ...routesOf(ok, true), "CSeq: 2 ACK"]);
    const acked = one(world.receive(alice.key, ack, alice.access), "ACK");
    expect([acked.access, acked.key]).toEqual([bob.access, bob.key]);
    expect(acked.message.has(Header.Route)).toBe(false);

    const back = ["From: <sip:bob@example.test>;tag=bob-tag", "To: <sip:alice@example.test>;tag=alice-tag", "Call-ID: call-of-alice"];
    const again = bob.request("INVITE", alice.contact.slice(1, -1), [...back, ...routesOf(invite, false)]);
    const reInvite = one(world.receive(bob.key, again, bob.access), "INVITE");
    expect([reInvite.access, reInvite.key]).toEqual([alice.access, alice.key]);
    one(world.receive(alice.key, answer(reInvite.message, 200, "x", [`Contact: ${alice.contact}`]), alice.access), "SIP/2.0 200");

    const bye = alice.request("BYE", bob.contact.slice(1, -1), [...toBob, ...routesOf(ok, true)]);
    const bied = one(world.receive(alice.key, bye, alice.access), "BYE");
    expect([bied.access, bied.key]).toEqual([bob.access, bob.key]);
    expect(one(world.receive(bob.key, answer(bied.message, 200, "bob-tag"), bob.access), "SIP/2.0 200").key).toBe(alice.key);
    expect(world.exchange.counts(world.now).dialogs).toBe(0);

    world.advance(200_000);
    expect(world.exchange.counts(world.now).transactions).toBe(0);
    expect(world.exchange.nextDeadline()).toBeUndefined();
  });

  it("[RFC7118 5] names a gateway's WebSocket in Via and Record-Route, one for each side, and says where a browser's request came from [RFC5658] [RFC3581]", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5060);
    const browser = new TestPhone("bob", "203.0.113.9", 5080, "WS", "g1");
    registered(world, alice, browser);
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    expect(valuesOf(invite, "Via")[0]).toMatch(/^SIP\/2\.0\/WS 192\.0\.2\.1:5080;branch=/);
    expect(invite.message.values(Header.RecordRoute).map((value) => value.replace(/:[^@]*@/, ":TOKEN@"))).toEqual([
      "<sip:TOKEN@192.0.2.1:5080;transport=ws;lr>",
      "<sip:TOKEN@192.0.2.1:5060;lr>",
    ]);
    const back = one(world.receive(browser.key, browser.request("INVITE", "sip:alice@example.test"), "g1"), "INVITE");
    const [ours, theirs] = valuesOf(back, "Via");
    expect(ours).toMatch(/^SIP\/2\.0\/UDP 192\.0\.2\.1:5060;branch=/);
    expect(theirs).toMatch(/^SIP\/2\.0\/WS bob\.invalid;branch=\w+;received=203\.0\.113\.9;rport=5080$/);
    expect(back.message.values(Header.RecordRoute).map((value) => value.replace(/:[^@]*@/, ":TOKEN@"))).toEqual([
      "<sip:TOKEN@192.0.2.1:5060;lr>",
      "<sip:TOKEN@192.0.2.1:5080;transport=ws;lr>",
    ]);
  });

  it("[RFC3261 26.2.2] a call to a sips URI reaches a browser over WSS, and none over WS", () => {
    const world = new TestExchange();
    const secure = new TestPhone("bob", "203.0.113.10", 5081, "WSS", "g1");
    registered(world, secure, new TestPhone("carol", "203.0.113.9", 5080, "WS", "g1"));
    const alice = new TestPhone("alice", "198.51.100.7", 5070, "TLS");
    const toCarol = world.receive(alice.key, alice.request("INVITE", "sips:carol@example.test"));
    expect(toCarol.filter(({ message }) => message.isRequest)).toEqual([]);
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sips:bob@example.test")), "INVITE");
    expect(invite.key).toBe(secure.key);
    expect(valuesOf(invite, "Via")[0]).toMatch(/^SIP\/2\.0\/WSS 192\.0\.2\.1:443;/);
    expect(invite.message.values(Header.RecordRoute)[0]).toMatch(/^<sip:[^@]*@192\.0\.2\.1:443;transport=ws;lr>$/);
  });

  it("rings every phone of the callee, and stops the others when one answers [RFC3261 16.7 10]", () => {
    const world = new TestExchange();
    const desk = new TestPhone("bob", "203.0.113.9", 5080);
    const browser = new TestPhone("bob", "203.0.113.10", 443, "WS");
    registered(world, desk, browser);
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const invites = world
      .receive(alice.key, alice.request("INVITE", "sip:bob@example.test"))
      .filter((sent) => sent.text.startsWith("INVITE"));
    expect(invites.map((sent) => sent.key).toSorted()).toEqual([desk.key, browser.key].toSorted());
    const [first, second] = invites;
    if (first === undefined || second === undefined) throw new Error("two phones ring");
    world.receive(first.key, answer(first.message, 180, "t1"), first.access);
    world.receive(second.key, answer(second.message, 180, "t2"), second.access);
    const answered = world.receive(first.key, answer(first.message, 200, "t1"), first.access);
    one(answered, "SIP/2.0 200");
    expect(one(answered, "CANCEL").key).toBe(second.key);
  });

  it.each(["UDP", "TCP"] as const)(
    "[RFC3261 16.7 5, 16.10] a caller over %s who has heard 487 can end the call that a phone takes all the same",
    (transport) => {
      const world = new TestExchange();
      const silent = new TestPhone("bob", "203.0.113.9", 5080);
      registered(world, silent);
      const alice = new TestPhone("alice", "198.51.100.7", 5070, transport);
      const inviting = alice.request("INVITE", "sip:bob@example.test");
      const [branch = ""] = /branch=\w+/.exec(inviting) ?? [];
      const within = (method: string, headers: readonly string[] = []): string =>
        alice.request(method, "sip:bob@example.test", ["CSeq: 1 " + method, ...headers]).replace(/branch=\w+/, branch);
      const invite = one(world.receive(alice.key, inviting), "INVITE");
      world.advance(5_000);
      const refused = one(world.receive(alice.key, within("CANCEL")).slice(1), "SIP/2.0 487");
      world.receive(alice.key, within("ACK", [`To: <sip:bob@example.test>;tag=${refused.message.toTag}`]));
      world.advance(10_000);
      const ok = one(world.receive(silent.key, answer(invite.message, 200, "late", [`Contact: ${silent.contact}`])), "SIP/2.0 200");
      expect(ok.key).toBe(alice.key);
      const inDialog = ["To: <sip:bob@example.test>;tag=late", ...routesOf(ok, true)];
      const uri = silent.contact.slice(1, -1);
      expect(one(world.receive(alice.key, alice.request("ACK", uri, ["CSeq: 1 ACK", ...inDialog])), "ACK").key).toBe(silent.key);
      const bye = one(world.receive(alice.key, alice.request("BYE", uri, inDialog)), "BYE");
      expect(bye.key).toBe(silent.key);
      one(world.receive(silent.key, answer(bye.message, 200, "late")), "SIP/2.0 200");
      world.advance(200_000);
      expect(world.exchange.counts(world.now)).toMatchObject({ dialogs: 0, transactions: 0 });
    },
  );

  it("answers 480 for a subscriber without a phone, 404 for nobody [RFC3261 21.4.5, 21.4.18]", () => {
    const world = new TestExchange();
    world.addSubscriber("bob", "secret");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const statusFor = (uri: string): number[] => world.receive(alice.key, alice.request("INVITE", uri)).map((sent) => sent.message.status);
    expect(statusFor("sip:bob@example.test")).toEqual([480]);
    expect(statusFor("sip:nobody@example.test")).toEqual([404]);
  });

  it("goes through another gateway of the same cluster address when the phone's is gone", () => {
    const world = new TestExchange();
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    registered(world, bob);
    world.exchange.disconnectAccess("g1", world.now);
    world.exchange.connectAccess("g2", [
      { transport: "TCP", host: "192.0.2.1", port: 5060 },
      { transport: "UDP", host: "192.0.2.1", port: 5060 },
    ]);
    const invite = one(world.receive("u1..c633640713ce", alice.request("INVITE", "sip:bob@example.test"), "g2"), "INVITE");
    expect([invite.access, invite.key]).toEqual(["g2", bob.key.replace("u0", "u1")]);
  });

  it.each(["a.0", "g1"])(
    "tells the caller 480 when the callee's connection at %s is gone and it does not come back, and forgets a browser's binding at once [RFC5626 5.3, RFC7118]",
    (access) => {
      const world = new TestExchange();
      const browser = new TestPhone("bob", "203.0.113.10", 443, "WS", access);
      registered(world, browser);
      expect(world.exchange.counts(world.now).registrations).toBe(1);
      world.record(RecordKind.closed, browser.key, "", browser.access);
      expect(world.exchange.counts(world.now).registrations).toBe(0);

      registered(world, browser);
      const alice = new TestPhone("alice", "198.51.100.7", 5070);
      const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
      expect(world.record(RecordKind.undeliverable, browser.key, invite.text, browser.access)).toEqual([]);
      expect(world.exchange.counts(world.now).registrations).toBe(0);
      one(world.advance(phoneReturnMs), "SIP/2.0 480");
    },
  );
});

describe("nothing is open to relay", () => {
  it("refuses a call from outside to outside", () => {
    const world = new TestExchange();
    const mallory = new TestPhone("mallory", "198.51.100.66", 5060);
    const invite = mallory.request("INVITE", "sip:victim@elsewhere.test", ["From: <sip:mallory@evil.test>;tag=m"]);
    const refused = world.receive(mallory.key, invite);
    expect(refused.map((sent) => sent.text.split("\r\n")[0])).toEqual(["SIP/2.0 403 Relaying Denied"]);
  });

  it("refuses a call to outside in an open domain, unless the caller is registered on that very flow", () => {
    const world = new TestExchange("open");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    one(world.receive(alice.key, alice.request("INVITE", "sip:friend@192.0.2.99")), "SIP/2.0 403");
    registered(world, alice);
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:friend@192.0.2.99")), "INVITE");
    expect(invite.key).toBe("u0..c000026313c4");
    one(world.receive("u0..c6336407ffff", alice.request("INVITE", "sip:friend@192.0.2.99")), "SIP/2.0 403");
  });

  it("resolves a named next hop through the gateway, and tries its addresses in order [RFC3263 4.3]", () => {
    const world = new TestExchange("open");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    registered(world, alice);
    const waiting = world.receive(alice.key, alice.request("INVITE", "sip:friend@elsewhere.test"));
    expect(waiting.map((sent) => sent.text.split(" ")[1])).toEqual(["100"]);
    const [question] = world.resolving;
    expect(question?.uri).toBe("sip:friend@elsewhere.test");
    const tried = world.record(RecordKind.resolved, question?.id ?? "", '["u0..c000026313c4","u0..c000026413c4"]');
    const invite = one(tried, "INVITE");
    expect(invite.key).toBe("u0..c000026313c4");
    const next = one(world.record(RecordKind.undeliverable, invite.key, invite.text), "INVITE");
    expect(next.key).toBe("u0..c000026413c4");
  });

  it("refuses a tampered Record-Route token with 403 [RFC5626 5.3]", () => {
    const world = new TestExchange();
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    registered(world, bob);
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    const ok = one(world.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`])), "SIP/2.0 200");
    const [route = ""] = routesOf(ok, true);
    const tampered = route.replace("*a*", "*b*");
    expect(tampered).not.toBe(route);
    const bye = alice.request("BYE", "sip:victim@192.0.2.99", ["To: <sip:bob@example.test>;tag=bob-tag", tampered]);
    one(world.receive(alice.key, bye), "SIP/2.0 403");
  });

  it("drops a response whose branch it did not sign [RFC3261 16.7 1]", () => {
    const world = new TestExchange();
    const forged =
      "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKtd0.a.x-1.y.00000000000000000000\r\n" +
      "Via: SIP/2.0/UDP 192.0.2.99:5060;branch=z9hG4bKvictim\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n";
    expect(world.receive("u0..c633640713ce", forged)).toEqual([]);
  });
});
