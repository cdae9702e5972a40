import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { callTombstoneMs, dialogLifetimeMs, routeSetOctetsMax } from "../../../sip/limits.ts";
import { secretsOf } from "../../../sip/auth/digest.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { exchangeOf } from "../../../cluster/map/cluster-map.ts";
import { joinMemories, memoryFrom, memoryOnStart } from "../../../sip/record/memory.ts";
import type { Transport } from "../../../sip/flow/flow.ts";
import { hashTag } from "../../../sip/flow/token.ts";
import { DialogCall, one, told } from "./dialog-call.ts";
import { answer, hash, startedAt, TestExchange, TestPhone, testMap, type Sent, type TestExchangeOptions } from "./harness.ts";
import { proofOf, registered as registeredWithPassword } from "./proof.ts";

const places: readonly (readonly [Transport, access: string])[] = [
  ["UDP", "g1"],
  ["TCP", "g1"],
  ["TLS", "g1"],
  ["WS", "g1"],
  ["WS", "a.0"],
];
const pairings = places.flatMap((from) => places.map((to) => [from, to] as const));

const alice = new TestPhone("alice", "198.51.100.7", 5070);
const bob = new TestPhone("bob", "203.0.113.9", 5080);
const carrier = new TestPhone("carrier", "198.51.100.99", 5062);

function registered(world: TestExchange, ...phones: readonly TestPhone[]): TestExchange {
  for (const phone of phones) one(world.receive(phone.key, phone.register(), phone.access), "SIP/2.0 200");
  return world;
}

function established(world: TestExchange, caller = alice, callee = bob): DialogCall {
  const call = new DialogCall(registered(world, caller, callee), caller, callee);
  call.answer(world, 200);
  one(call.send(world, "ACK", "caller"), "ACK");
  return call;
}

/** Where a password is asked for, which is `password` for both. */
function secured(options: TestExchangeOptions = {}): TestExchange {
  const world = new TestExchange("digest", options);
  for (const { user } of [alice, bob]) world.addSubscriber(user, "password");
  return world;
}

/** What is sent when its sender is asked for his password, and gives it. */
function proven(world: TestExchange, call: DialogCall, method: string, by: "caller" | "callee", changes: { uri?: string } = {}): Sent[] {
  const challenge = one(call.send(world, method, by, changes), "SIP/2.0 407");
  const [sender, receiver] = by === "caller" ? [call.caller, call.callee] : [call.callee, call.caller];
  const uri = changes.uri ?? receiver.contact.slice(1, -1);
  return call.send(world, method, by, { uri, headers: [proofOf(challenge, method, uri, sender.user)] });
}

const eve = new TestPhone("eve", "198.51.100.66", 5066);
const fromEve = "From: <sip:eve@evil.invalid>;tag=caller-tag";

describe("the relay: a stranger's token of a call that rang once", () => {
  it.each(["INVITE", "MESSAGE", "BYE", "NOTIFY"])("lets no %s out to a carrier, nor to a phone in another's name", (method) => {
    const world = registered(new TestExchange("open"), bob);
    const call = new DialogCall(world, eve, bob, { from: fromEve });
    call.answer(world, 180);
    one(call.answer(world, 486), "SIP/2.0 486");
    const other = { callId: "other", fromTag: "zzz", toTag: "yyy", fromUri: "sip:ceo@example.test", uri: carrier.contact.slice(1, -1) };
    expect(told(call.send(world, method, "caller", other))).toEqual([`${eve.key} 403`]);
    expect(told(call.send(world, method, "caller", { ...other, uri: bob.contact.slice(1, -1) }))).toEqual([`${eve.key} 403`]);
    // Within the call that is over it opens nothing either.
    expect(told(call.send(world, method, "caller", { uri: carrier.contact.slice(1, -1) }))).toEqual([`${eve.key} 481`]);
  });

  it("while the call stands, reaches its phone, but neither a carrier nor that phone in another's name [RFC3261 12.2.1.1]", () => {
    const world = registered(new TestExchange("digest"));
    world.addSubscriber("bob", "secret");
    const open = registered(new TestExchange("open"), bob);
    const call = new DialogCall(open, eve, bob, { from: fromEve });
    call.answer(open, 200);
    expect(told(call.send(open, "INFO", "caller", { uri: carrier.contact.slice(1, -1) }))).toEqual([`${bob.key} INFO`]);
    expect(told(call.send(open, "INFO", "caller", { fromUri: "sip:ceo@example.test" }))).toEqual([`${eve.key} 403`]);
    const behind = { routes: [...call.recorded, `<sip:${carrier.contact.slice(5, -1)};lr>`] };
    expect(told(call.send(open, "INFO", "caller", behind))).toEqual([`${eve.key} 403`]);
    expect(told(call.send(open, "INFO", "caller"))).toEqual([`${bob.key} INFO`]);
  });
});

describe("names within a dialog [RFC3261 12.2.1.1]", () => {
  it("a callee says its own, or the one that was dialled, and no other of ours", () => {
    const world = registered(new TestExchange(), alice, bob);
    const call = new DialogCall(world, alice, bob, { headers: ["To: <sip:sales@example.test>"] });
    for (const status of [183, 200]) {
      call.answer(world, status);
      expect(told(call.send(world, "UPDATE", "callee", { fromUri: "sip:sales@example.test" }))).toEqual([`${alice.key} UPDATE`]);
      expect(told(call.send(world, "UPDATE", "callee", { fromUri: "sip:bob@example.test" }))).toEqual([`${alice.key} UPDATE`]);
      expect(told(call.send(world, "UPDATE", "callee", { fromUri: "sip:ceo@example.test" }))).toEqual([`${bob.key} 403`]);
      expect(told(call.send(world, "UPDATE", "caller", { fromUri: "sip:ceo@example.test" }))).toEqual([`${alice.key} 403`]);
    }
  });

  it("a callee outside says none of ours", () => {
    const world = registered(new TestExchange(), alice);
    const call = new DialogCall(world, alice, eve, { uri: "sip:eve@198.51.100.66:5066" });
    call.answer(world, 200);
    expect(told(call.send(world, "MESSAGE", "callee", { fromUri: "sip:ceo@example.test" }))).toEqual([`${eve.key} 403`]);
    expect(told(call.send(world, "MESSAGE", "callee"))).toEqual([`${alice.key} MESSAGE`]);
  });
});

function signOfTest(text: string): string {
  return createHmac("sha256", "test").update(text).digest("hex").slice(0, 20);
}

describe("a token of before it was bound to its dialog (td1)", () => {
  it("is served while a record speaks for the call, and 403 else, wherever it wants to go", () => {
    const world = new TestExchange();
    const call = established(world);
    const text = `td1*0*a*${hashTag("caller-tag")}**`;
    const routes = [`<sip:${text}*${signOfTest(text)}@192.0.2.1:5060;lr>`];
    expect(told(call.send(world, "INFO", "caller", { routes, uri: carrier.contact.slice(1, -1) }))).toEqual([`${bob.key} INFO`]);
    expect(told(call.send(world, "INFO", "callee", { routes }))).toEqual([`${alice.key} INFO`]);
    expect(told(call.send(world, "INFO", "caller", { routes, callId: "another" }))).toEqual([`${alice.key} 403`]);
    const anew = new TestExchange("open", { now: startedAt + 60_000 });
    expect(told(call.send(anew, "INFO", "caller", { routes, uri: carrier.contact.slice(1, -1) }))).toEqual([`${alice.key} 403`]);
  });
});

describe("limits of what a dialog's record keeps", () => {
  it("a route set of more than routeSetOctetsMax is not kept, and its Route leads nowhere", () => {
    const world = registered(new TestExchange(), alice);
    const far = new TestPhone("far", "198.51.100.20", 5060);
    const above = [`<sip:${"x".repeat(routeSetOctetsMax - 30)}@198.51.100.20:5060;lr>`];
    const kept = new DialogCall(world, alice, far, { uri: "sip:100@198.51.100.20", above, callId: "kept" });
    kept.answer(world, 200);
    expect(told(kept.send(world, "INFO", "caller"))).toEqual([`${far.key} INFO`]);
    const longer = [...above, "<sip:198.51.100.21:5060;lr>"];
    const call = new DialogCall(world, alice, far, { uri: "sip:100@198.51.100.20", above: longer });
    expect(told(call.answer(world, 200))).toEqual([`${alice.key} 200`]);
    expect(told(call.send(world, "INFO", "caller"))).toEqual([`${alice.key} 403`]);
  });
});

describe("[RFC3261 16.6 4] a token ends with its dialog", () => {
  it("after the BYE what is repeated passes for a moment, anything else is 481", () => {
    const world = new TestExchange();
    const call = established(world);
    const bye = one(call.send(world, "BYE", "caller"), "BYE");
    one(world.receive(bob.key, answer(bye.message, 200, "x")), "SIP/2.0 200");
    expect(told(call.send(world, "INVITE", "callee"))).toEqual([`${bob.key} 481`]);
    expect(told(call.send(world, "MESSAGE", "caller"))).toEqual([`${alice.key} 481`]);
    expect(told(call.send(world, "BYE", "callee"))).toEqual([`${alice.key} BYE`]);
    world.advance(callTombstoneMs + 1);
    world.exchange.sweep(world.now);
    expect(told(call.send(world, "BYE", "callee"))).toEqual([`${bob.key} 481`]);
    expect(told(call.send(world, "ACK", "caller"))).toEqual([]);
  });

  it("and in a name of ours only with its password", () => {
    const world = secured();
    world.exchange.setMemory(memoryFrom(startedAt - 1));
    const open = new TestExchange();
    const call = established(open);
    for (const record of open.exchange.store.records("dialog")) world.exchange.restore(record);
    const bye = one(call.send(world, "BYE", "caller"), "BYE");
    one(world.receive(bob.key, answer(bye.message, 200, "x")), "SIP/2.0 200");
    expect(told(call.send(world, "BYE", "callee"))).toEqual([`${bob.key} 407`]);
    expect(told(proven(world, call, "BYE", "callee"))).toContain(`${alice.key} BYE`);
  });

  it("a call that nobody says anything in for five days does not end with it", () => {
    const world = new TestExchange();
    const call = established(world);
    for (let day = 0; day < 5; day += 1) {
      world.advance(24 * 3_600_000);
      world.exchange.sweep(world.now);
    }
    expect(told(call.send(world, "BYE", "callee"))).toEqual([`${alice.key} BYE`]);
  });

  it("nor one that is refreshed, however long it is", () => {
    const world = new TestExchange();
    const call = established(world);
    for (let at = 0; at < 3 * dialogLifetimeMs; at += dialogLifetimeMs - 1) {
      world.advance(dialogLifetimeMs - 1);
      world.exchange.sweep(world.now);
      const again = one(call.send(world, "INVITE", "caller"), "INVITE");
      one(world.receive(bob.key, answer(again.message, 200, "x", [`Contact: ${bob.contact}`])), "SIP/2.0 200");
    }
    expect(told(call.send(world, "BYE", "callee"))).toEqual([`${alice.key} BYE`]);
  });

  it("an INVITE that was refused leaves nothing", () => {
    const world = registered(new TestExchange(), alice, bob);
    const call = new DialogCall(world, alice, bob);
    call.answer(world, 183);
    call.answer(world, 486);
    expect(told(call.send(world, "UPDATE", "callee"))).toEqual([`${bob.key} 481`]);
  });
});

describe("[RFC3261 12.1] early dialogs", () => {
  it.each(pairings)("between %j and %j: PRACK, UPDATE both ways, BYE before the 2xx", (from, to) => {
    const world = new TestExchange();
    const caller = new TestPhone("alice", "198.51.100.7", 5070, ...from);
    const callee = new TestPhone("bob", "203.0.113.9", 5080, ...to);
    const call = new DialogCall(registered(world, caller, callee), caller, callee);
    call.answer(world, 183);
    expect(told(call.send(world, "PRACK", "caller"))).toEqual([`${callee.key} PRACK`]);
    expect(told(call.send(world, "UPDATE", "caller"))).toEqual([`${callee.key} UPDATE`]);
    expect(told(call.send(world, "UPDATE", "callee"))).toEqual([`${caller.key} UPDATE`]);
    expect(told(call.send(world, "BYE", "caller"))).toEqual([`${callee.key} BYE`]);
  });

  it("to a callee outside, behind a proxy that has recorded itself: along its route, and along no other", () => {
    const world = registered(new TestExchange(), alice);
    const far = new TestPhone("far", "198.51.100.20", 5060);
    const callee = { ...far, contact: "<sip:pbx@10.0.0.9:5060>" };
    const above = ["<sip:198.51.100.20:5060;lr>"];
    const call = new DialogCall(world, alice, Object.assign(far, callee), { uri: "sip:100@198.51.100.20", above });
    expect(call.invite.key).toBe(far.key);
    call.answer(world, 183);
    const prack = one(call.send(world, "PRACK", "caller"), "PRACK");
    expect([prack.key, prack.message.values(Header.Route)]).toEqual([far.key, above]);
    const elsewhere = { routes: [...call.recorded.slice(1), "<sip:198.51.100.99:5062;lr>"] };
    expect(told(call.send(world, "PRACK", "caller", elsewhere))).toEqual([`${alice.key} 403`]);
    call.answer(world, 200);
    const ack = one(call.send(world, "ACK", "caller"), "ACK");
    expect([ack.key, ack.message.requestUri, ack.message.values(Header.Route)]).toEqual([far.key, "sip:pbx@10.0.0.9:5060", above]);
    expect(told(call.send(world, "INFO", "caller", elsewhere))).toEqual([`${alice.key} 403`]);
    // Who has lost the far part of the route set goes along it all the same.
    const bye = one(call.send(world, "BYE", "caller", { routes: call.recorded.slice(1) }), "BYE");
    expect([bye.key, bye.message.values(Header.Route)]).toEqual([far.key, above]);
  });

  it("of a caller behind a proxy that has recorded itself", () => {
    const world = registered(new TestExchange(), bob);
    const below = ["<sip:198.51.100.66:5066;lr>"];
    const call = new DialogCall(world, eve, bob, { from: fromEve, below });
    call.answer(world, 180);
    expect(told(call.send(world, "UPDATE", "callee"))).toEqual([`${eve.key} UPDATE`]);
    call.answer(world, 200);
    expect(told(call.send(world, "INFO", "callee"))).toEqual([`${eve.key} INFO`]);
    const elsewhere = { routes: [...call.recorded.slice(0, -1), "<sip:198.51.100.99:5062;lr>"] };
    expect(told(call.send(world, "INFO", "callee", elsewhere))).toEqual([`${bob.key} 403`]);
  });
});

describe("an outside callee's Contact is the only way to it", () => {
  it("the record knows it, and the Request-URI decides nothing", () => {
    const world = registered(new TestExchange(), alice);
    const server = new TestPhone("pbx", "198.51.100.20", 5060);
    const media = new TestPhone("media", "198.51.100.21", 5070);
    const call = new DialogCall(world, alice, server, { uri: "sip:100@198.51.100.20" });
    call.answer(world, 183);
    const { invite } = call;
    world.receive(server.key, answer(invite.message, 200, "callee-tag", [`Contact: ${media.contact}`]));
    const ack = one(call.send(world, "ACK", "caller", { uri: carrier.contact.slice(1, -1) }), "ACK");
    expect(ack.key).toBe(media.key);
    expect(told(call.send(world, "BYE", "caller", { uri: media.contact.slice(1, -1) }))).toEqual([`${media.key} BYE`]);
  });

  it("a Contact that an accepted re-INVITE brings counts from then on [RFC3261 12.2.1.2]", () => {
    const world = registered(new TestExchange(), alice);
    const server = new TestPhone("pbx", "198.51.100.20", 5060);
    const media = new TestPhone("media", "198.51.100.21", 5070);
    const call = new DialogCall(world, alice, server, { uri: "sip:100@198.51.100.20" });
    call.answer(world, 200);
    const again = one(call.send(world, "INVITE", "callee", { headers: [`Contact: ${media.contact}`] }), "INVITE");
    expect(told(call.send(world, "INFO", "caller"))).toEqual([`${server.key} INFO`]);
    world.receive(alice.key, answer(again.message, 200, "x", [`Contact: ${alice.contact}`]));
    expect(told(call.send(world, "INFO", "caller"))).toEqual([`${media.key} INFO`]);
  });
});

describe("both replicas have started anew, with nothing on their disks", () => {
  const later = startedAt + 60_000;

  it.each(pairings)("a call between %j and %j goes on on its token's flows, both ways, and ends", (from, to) => {
    const caller = new TestPhone("alice", "198.51.100.7", 5070, ...from);
    const callee = new TestPhone("bob", "203.0.113.9", 5080, ...to);
    const call = established(new TestExchange(), caller, callee);
    const world = secured({ now: later });
    const again = one(proven(world, call, "INVITE", "callee"), "INVITE");
    expect([again.access, again.key]).toEqual([caller.access, caller.key]);
    one(world.receive(caller.key, answer(again.message, 200, "x", [`Contact: ${caller.contact}`]), caller.access), "SIP/2.0 200");
    expect(told(call.send(world, "ACK", "callee"))).toEqual([`${caller.key} ACK`]);
    expect(told(proven(world, call, "INVITE", "caller", { uri: carrier.contact.slice(1, -1) }))).toContain(`${callee.key} INVITE`);
    const bye = one(proven(world, call, "BYE", "caller"), "BYE");
    expect([bye.access, bye.key]).toEqual([callee.access, callee.key]);
    one(world.receive(callee.key, answer(bye.message, 200, "x"), callee.access), "SIP/2.0 200");
    expect(told(call.send(world, "INVITE", "callee"))).toEqual([`${callee.key} 481`]);
  });

  const toTags = ["callee-tag", undefined];
  const asBob = ["INVITE", "INFO", "NOTIFY", "BYE"].flatMap((method) => toTags.map((toTag) => [method, toTag] as const));

  it.each(asBob)("a stranger's %s with To tag %s in the name of one of ours is asked for a password, and rings nobody", (method, toTag) => {
    const before = registered(new TestExchange(), alice);
    const call = new DialogCall(before, eve, alice, { from: fromEve, uri: "sip:alice@example.test" });
    call.answer(before, 200);
    const world = secured({ now: later });
    const headers = method === "NOTIFY" ? ["Event: dialog", "Subscription-State: active;expires=600"] : [];
    const asked = { toTag, headers, fromUri: "sip:bob@example.test" };
    expect(told(call.send(world, method, "caller", asked))).toEqual(expect.arrayContaining([`${eve.key} 407`]));
    expect(told(call.send(world, method, "caller", { ...asked, fromUri: "im:bob@example.test" }))).toEqual([`${eve.key} 403`]);
    expect(told(call.send(world, "ACK", "caller"))).toEqual([`${alice.key} ACK`]);
    expect(told(world.sent).filter((each) => each.startsWith(alice.key))).toEqual([`${alice.key} ACK`]);
    // In his own name he is served, as a stranger.
    expect(told(call.send(world, "BYE", "caller"))).toEqual([`${alice.key} BYE`]);
  });

  it("a stranger's From that shows the address of one of ours is 403", () => {
    const before = registered(new TestExchange(), alice);
    const call = new DialogCall(before, eve, alice, { from: fromEve, uri: "sip:alice@example.test" });
    call.answer(before, 200);
    const world = secured({ now: later });
    const text = call.request("INFO", "caller").replace("From: <", 'From: "bob@example.test" <');
    expect(told(world.receive(eve.key, text))).toEqual([`${eve.key} 403`]);
  });

  it("one whose secrets another exchange has waits for them, and then goes on in its dialog", () => {
    const [elsewhere = ""] = Array.from({ length: 64 }, (_, i) => `u${i}`).filter(
      (user) => exchangeOf(testMap("digest", 2), `${user}@example.test`) === 1,
    );
    const caller = new TestPhone(elsewhere, "198.51.100.7", 5070);
    const before = registered(new TestExchange("open", { exchangeCount: 2 }), bob);
    const call = new DialogCall(before, caller, bob);
    call.answer(before, 200);
    const world = new TestExchange("digest", { exchangeCount: 2, now: later });
    const uri = bob.contact.slice(1, -1);
    const [challenge] = call.send(world, "BYE", "caller");
    expect(told(call.send(world, "BYE", "caller", { headers: [proofOf(challenge, "BYE", uri, elsewhere)] }))).toEqual([]);
    expect(world.asked).toEqual([`${elsewhere}@example.test`]);
    world.exchange.credentials(`${elsewhere}@example.test`, secretsOf(hash, `${elsewhere}@example.test`, "password"), world.now);
    expect(told(world.drain())).toEqual([`${bob.key} BYE`]);
  });

  it("another phone that To and Request-URI name is not looked for", () => {
    const call = established(new TestExchange());
    const carol = new TestPhone("carol", "203.0.113.30", 5090);
    const world = registered(new TestExchange("open", { now: later }), carol);
    const asked = { uri: carol.contact.slice(1, -1), toUri: "sip:carol@example.test" };
    expect(told(call.send(world, "INFO", "caller", asked))).toEqual([`${bob.key} INFO`]);
  });

  it("no token is good for longer than any dialog lives without a word", () => {
    const call = established(new TestExchange());
    const world = new TestExchange("open", { now: startedAt + dialogLifetimeMs + 1_000 });
    expect(told(call.send(world, "BYE", "caller"))).toEqual([`${alice.key} 481`]);
  });
});

describe("what a replica knows of dialogs without a record [decision 0012]", () => {
  const later = startedAt + 60_000;

  it("a young replica that has its peer's memory knows that a call of before its start has ended", () => {
    const call = established(new TestExchange());
    const world = new TestExchange("open", { now: later });
    world.exchange.setMemory(memoryFrom(startedAt - 1));
    expect(told(call.send(world, "BYE", "caller"))).toEqual([`${alice.key} 481`]);
  });

  it("what was made while it was away may stand, until its peer has told", () => {
    const world = new TestExchange("open", { now: later });
    world.exchange.setMemory(memoryOnStart(memoryFrom(startedAt - 1), startedAt, later));
    const call = established(new TestExchange());
    expect(told(call.send(world, "INFO", "caller"))).toEqual([`${bob.key} INFO`]);
    world.exchange.setMemory(joinMemories(world.exchange.memory, memoryFrom(startedAt - 5)));
    expect(told(call.send(world, "INFO", "caller"))).toEqual([`${alice.key} 481`]);
  });

  it("what the other replica makes is known while the two are together, and not from then on", () => {
    const there = new TestExchange("open", { cell: "b" });
    const world = new TestExchange();
    const before = established(there);
    world.exchange.setPeerKnown(Number.POSITIVE_INFINITY, world.now);
    expect(told(before.send(world, "INFO", "caller"))).toEqual([`${alice.key} 481`]);
    world.advance(20_000);
    there.advance(20_000);
    world.exchange.setPeerKnown(world.now, world.now);
    expect(told(before.send(world, "INFO", "caller"))).toEqual([`${alice.key} 481`]);
    there.advance(1_000);
    expect(told(established(there).send(world, "INFO", "caller"))).toEqual([`${bob.key} INFO`]);
  });
});

describe("requests within a dialog that bring no token", () => {
  it("of a stranger reach a phone of a dialog that the record knows, and no other", () => {
    const world = registered(new TestExchange(), bob);
    const call = new DialogCall(world, eve, bob, { from: fromEve });
    call.answer(world, 200);
    const bare = { routes: [], uri: "sip:bob@example.test" };
    expect(told(call.send(world, "BYE", "caller", { ...bare, toTag: "guessed" }))).toEqual([`${eve.key} 481`]);
    expect(told(call.send(world, "INVITE", "caller", { ...bare, callId: "another" }))).toEqual([`${eve.key} 481`]);
    expect(told(call.send(world, "BYE", "caller", bare))).toEqual([`${bob.key} BYE`]);
  });

  it("of a subscriber of ours without a record are asked for a password, as ever", () => {
    const world = new TestExchange("digest");
    world.addSubscriber("bob", "secret");
    const call = new DialogCall(registered(new TestExchange(), alice, bob), alice, bob);
    expect(told(call.send(world, "BYE", "caller", { routes: [] }))).toEqual([`${alice.key} 407`]);
  });
});

describe("[RFC2543] a phone that answers without a To tag", () => {
  it("gets ACK, INFO, re-INVITE's ACK and BYE, and the call ends", () => {
    const world = registered(new TestExchange(), alice, bob);
    const call = new DialogCall(world, alice, bob);
    const ok = answer(call.invite.message, 200, "x", [`Contact: ${bob.contact}`]).replace(";tag=x", "");
    one(world.receive(bob.key, ok), "SIP/2.0 200");
    const untagged = { toTag: undefined };
    expect(told(call.send(world, "ACK", "caller", untagged))).toEqual([`${bob.key} ACK`]);
    expect(told(call.send(world, "INFO", "caller", untagged))).toEqual([`${bob.key} INFO`]);
    expect(told(call.send(world, "INFO", "callee", { fromTag: undefined }))).toEqual([`${alice.key} INFO`]);
    const bye = one(call.send(world, "BYE", "caller", untagged), "BYE");
    one(world.receive(bob.key, answer(bye.message, 200, "x").replace(";tag=x", "")), "SIP/2.0 200");
    expect(told(call.send(world, "INFO", "caller", untagged))).toEqual([`${alice.key} 481`]);
  });
});

describe("[RFC6665] [RFC3515] subscriptions make dialogs too", () => {
  const active = "Subscription-State: active;expires=600";

  it("[RFC6665 4.3] a NOTIFY that overtakes the 2xx is recorded with the token, and makes the dialog", () => {
    const world = registered(new TestExchange(), alice, bob);
    const call = new DialogCall(world, alice, bob, { method: "SUBSCRIBE" });
    const notify = one(call.send(world, "NOTIFY", "callee", { headers: [active] }), "NOTIFY");
    expect(notify.message.values(Header.RecordRoute)).toEqual(call.recorded);
    one(world.receive(alice.key, answer(notify.message, 200, "x")), "SIP/2.0 200");
    call.answer(world, 202);
    world.advance(300_000);
    expect(told(call.send(world, "SUBSCRIBE", "caller"))).toEqual([`${bob.key} SUBSCRIBE`]);
    expect(world.exchange.counts(world.now).dialogs).toBe(0);
  });

  it("where passwords are asked for that NOTIFY needs none in the name that was asked, and one in another of ours", () => {
    const world = secured();
    const phone = proofOf(
      one(world.receive(alice.key, alice.request("MESSAGE", "sip:bob@example.test")), "SIP/2.0 407"),
      "SUBSCRIBE",
      "sip:bob@example.test",
      "alice",
    );
    for (const each of [alice, bob]) registeredWithPassword(world, each);
    const call = new DialogCall(world, alice, bob, { method: "SUBSCRIBE", headers: [phone] });
    const asked = { headers: [active], fromUri: "sip:alice@example.test" };
    expect(told(call.send(world, "NOTIFY", "callee", asked))).toEqual([`${bob.key} 407`]);
    expect(told(call.send(world, "NOTIFY", "callee", { headers: [active] }))).toEqual([`${alice.key} NOTIFY`]);
  });

  it("a long one goes on for as long as it is refreshed, and is over when it says so, or when it is not", () => {
    const world = registered(new TestExchange(), alice, bob);
    const call = new DialogCall(world, alice, bob, { method: "SUBSCRIBE" });
    call.answer(world, 200, ["Expires: 3600"]);
    for (let hour = 0; hour < 30; hour += 1) {
      world.advance(3_600_000 - 1);
      world.exchange.sweep(world.now);
      const refresh = one(call.send(world, "SUBSCRIBE", "caller"), "SUBSCRIBE");
      one(world.receive(bob.key, answer(refresh.message, 200, "x", ["Expires: 3600"])), "SIP/2.0 200");
      expect(told(call.send(world, "NOTIFY", "callee", { headers: [active] }))).toEqual([`${alice.key} NOTIFY`]);
    }
    const last = one(call.send(world, "NOTIFY", "callee", { headers: ["Subscription-State: terminated;reason=timeout"] }), "NOTIFY");
    one(world.receive(alice.key, answer(last.message, 200, "x")), "SIP/2.0 200");
    world.advance(60_000);
    expect(told(call.send(world, "NOTIFY", "callee", { headers: [active] }))).toEqual([`${bob.key} 481`]);
    const other = new DialogCall(registered(world, bob), alice, bob, { method: "SUBSCRIBE", callId: "another" });
    other.answer(world, 200, ["Expires: 120"]);
    world.advance(300_000);
    expect(told(other.send(world, "SUBSCRIBE", "caller"))).toEqual([`${alice.key} 481`]);
  });

  it("a refused SUBSCRIBE leaves nothing", () => {
    const world = registered(new TestExchange(), alice, bob);
    const call = new DialogCall(world, alice, bob, { method: "SUBSCRIBE" });
    call.answer(world, 489);
    expect(told(call.send(world, "NOTIFY", "callee", { headers: [active] }))).toEqual([`${bob.key} 481`]);
  });

  it("the one that a REFER makes in a call outlives the call [RFC3515 2.4.4]", () => {
    const world = new TestExchange();
    const call = established(world);
    const refer = one(call.send(world, "REFER", "caller", { headers: ["Refer-To: <sip:carol@example.test>"] }), "REFER");
    one(world.receive(bob.key, answer(refer.message, 202, "x", [`Contact: ${bob.contact}`])), "SIP/2.0 202");
    const bye = one(call.send(world, "BYE", "caller"), "BYE");
    one(world.receive(bob.key, answer(bye.message, 200, "x")), "SIP/2.0 200");
    world.advance(60_000);
    world.exchange.sweep(world.now);
    const notify = one(call.send(world, "NOTIFY", "callee", { headers: ["Subscription-State: terminated"] }), "NOTIFY");
    expect(notify.key).toBe(alice.key);
  });
});
