import { describe, expect, it } from "vitest";
import { answer, startedAt, TestExchange, TestPhone, type Sent } from "./harness.ts";
import { DialogCall, one, told } from "./dialog-call.ts";
import { proofOf, proved, rigOf, type Rig } from "./proof.ts";

const fromEve = "From: <sip:eve@elsewhere.test>;tag=caller-tag";
const elsewhere = new TestPhone("eve", "198.51.100.67", 5066);

/** Eve has called Bob, whose phone has said this. */
function called(status: 180 | 200): Rig & { readonly call: DialogCall } {
  const rig = rigOf();
  const call = new DialogCall(rig.world, rig.eve, rig.bob, { from: fromEve });
  call.answer(rig.world, status);
  if (status === 200) one(call.send(rig.world, "ACK", "caller"), "ACK");
  return { ...rig, call };
}

/** Alice's call to Bob, or to somebody outside, with her password; answered with this. */
function calledByAlice(rig: Rig, status: number, callee = rig.bob, uri = "sip:bob@example.test"): DialogCall {
  const [challenge] = rig.world.receive(rig.alice.key, rig.alice.request("INVITE", uri, ["Call-ID: first"]));
  const call = new DialogCall(rig.world, rig.alice, callee, { uri, headers: [proofOf(challenge, "INVITE", uri, "alice")] });
  call.answer(rig.world, status);
  if (status === 200) one(call.send(rig.world, "ACK", "caller"), "ACK");
  return call;
}

/** A phone answers what has reached it. */
function answers(world: TestExchange, phone: TestPhone, request: Sent, status: number, headers: readonly string[] = []): Sent[] {
  return world.receive(phone.key, answer(request.message, status, "x", [`Contact: ${phone.contact}`, ...headers]));
}

/** What an attacker sends with the token of a ringing phone. */
const attacks: readonly (readonly [method: string, header: string])[] = [
  ["REFER", "Refer-To: <sip:1900@carrier.test>"],
  ["SUBSCRIBE", "Event: dialog"],
  ["SUBSCRIBE", "Event: refer"],
  ["NOTIFY", "Event: check-sync;reboot=true"],
  ["NOTIFY", "Event: refer"],
  ["PUBLISH", "Event: presence"],
  ["REGISTER", "Expires: 600"],
  ["MESSAGE", "Reply-To: <sip:alice@example.test>"],
  ["INFO", "Alert-Info: <http://x>;info=alert-autoanswer"],
  ["INVITE", "Answer-Mode: Auto"],
  ["OPTIONS", "Accept: application/sdp"],
  ["FOO", "Subject: x"],
  ["Refer", "Refer-To: <sip:1900@carrier.test>"],
];

describe("a phone that only rings has agreed to nothing", () => {
  it.each(attacks)("%s of the stranger who rings it, with %s: 403, and the phone hears nothing", (method, header) => {
    const { world, eve, call } = called(180);
    const request = call.request(method, "caller", { headers: [header] });
    expect(told(world.receive(eve.key, request))).toEqual([`${eve.key} 403`]);
    const other = call.request(method, "caller", { headers: [header] }).replaceAll(/^Via: .*/gm, `Via: ${elsewhere.via};branch=z9hG4bKo`);
    expect(told(world.receive(elsewhere.key, other))).toEqual([`${elsewhere.key} 403`]);
    expect(told(world.advance(40_000)).filter((each) => each.endsWith(method) && method !== "INVITE")).toEqual([]);
  });

  it.each(["PRACK", "UPDATE", "BYE"])("%s is the call's own, and passes", (method) => {
    const { world, bob, call } = called(180);
    expect(told(call.send(world, method, "caller"))).toEqual([`${bob.key} ${method}`]);
  });

  it("without what makes phones act, and what shows somebody", () => {
    const { world, call } = called(180);
    const headers = ["Alert-Info: Auto Answer", "Diversion: <sip:carol@example.test>", "Subject: x"];
    const update = one(call.send(world, "UPDATE", "caller", { headers }), "UPDATE");
    expect(update.text).toContain("Subject: x");
    expect(update.text).not.toMatch(/Alert-Info|Diversion/);
  });

  it("a user of ours whose phone it is sends what he likes", () => {
    for (const method of ["INFO", "REFER", "MESSAGE", "UPDATE"]) {
      const { world, eve, call } = called(180);
      expect(told(call.send(world, method, "callee"))).toEqual([`${eve.key} ${method}`]);
    }
  });

  it("between two of ours nothing changes, and who is called outside is a stranger as well", () => {
    const between = rigOf();
    const call = calledByAlice(between, 180);
    for (const method of ["INFO", "REFER", "MESSAGE"]) {
      expect(told(call.send(between.world, method, "caller"))).toEqual([`${between.bob.key} ${method}`]);
    }
    const rig = rigOf();
    const carrier = new TestPhone("100", "203.0.113.20", 5060);
    const abroad = calledByAlice(rig, 183, carrier, "sip:100@203.0.113.20");
    for (const method of ["INFO", "REFER", "NOTIFY"]) {
      expect(told(abroad.send(rig.world, method, "callee"))).toEqual([`${carrier.key} 403`]);
      expect(told(abroad.send(rig.world, method, "caller"))).toEqual([`${carrier.key} ${method}`]);
    }
    expect(told(abroad.send(rig.world, "UPDATE", "callee"))).toEqual([`${rig.alice.key} UPDATE`]);
  });
});

describe("in a call that was answered a stranger", () => {
  it.each(["INVITE", "UPDATE", "INFO", "PRACK", "MESSAGE", "OPTIONS", "REFER", "BYE"])("sends %s", (method) => {
    const { world, bob, eve, call } = called(200);
    const sent = told(call.send(world, method, "caller"));
    expect(sent.filter((each) => each !== `${eve.key} 100`)).toEqual([`${bob.key} ${method}`]);
  });

  const refused: readonly (readonly [method: string, header: string])[] = [
    ["SUBSCRIBE", "Event: dialog"],
    ["SUBSCRIBE", "Event: refer\r\no: dialog"],
    ["SUBSCRIBE", "Event: referx"],
    ["SUBSCRIBE", "Subject: no event"],
    ["NOTIFY", "Event: check-sync;reboot=true"],
    ["NOTIFY", "Event: refer"],
    ["PUBLISH", "Event: presence"],
    ["REGISTER", "Expires: 600"],
    ["FOO", "Subject: x"],
    ["Refer", "Refer-To: <sip:1900@carrier.test>"],
  ];

  it.each(refused)("no %s with %s: 403", (method, header) => {
    const { world, eve, call } = called(200);
    expect(told(call.send(world, method, "caller", { headers: [header] }))).toEqual([`${eve.key} 403`]);
  });

  it("notifies who has asked him, also before his 2xx to that has come", () => {
    const { world, bob, eve, call } = called(200);
    const refer = one(call.send(world, "REFER", "callee", { headers: ["Refer-To: <sip:x@elsewhere.test>"] }), "REFER");
    const notify = { headers: ["Event: refer", "Subscription-State: active;expires=60"] };
    expect(told(call.send(world, "NOTIFY", "caller", notify))).toEqual([`${bob.key} NOTIFY`]);
    answers(world, eve, refer, 202);
    world.advance(70_000);
    expect(told(call.send(world, "NOTIFY", "caller", notify))).toEqual([`${bob.key} NOTIFY`]);
  });

  it("who has referred a phone of ours may ask no more of it, and tell it nothing else", () => {
    const { world, bob, eve, call } = called(200);
    answers(world, bob, one(call.send(world, "REFER", "caller", { headers: ["Refer-To: <sip:x@elsewhere.test>"] }), "REFER"), 202);
    for (const event of ["check-sync;reboot=true", "talk", "refer"]) {
      const notify = { headers: [`Event: ${event}`, "Subscription-State: active"] };
      expect(told(call.send(world, "NOTIFY", "caller", notify))).toEqual([`${eve.key} 403`]);
    }
    expect(told(call.send(world, "SUBSCRIBE", "caller", { headers: ["Event: dialog"] }))).toEqual([`${eve.key} 403`]);
    expect(told(call.send(world, "SUBSCRIBE", "caller", { headers: ["Event: refer", "Expires: 0"] }))).toEqual([`${bob.key} SUBSCRIBE`]);
    expect(told(call.send(world, "NOTIFY", "callee", { headers: ["Event: refer"] }))).toEqual([`${eve.key} NOTIFY`]);
  });

  it.each([
    "Diversion: <sip:carol@example.test>",
    "History-Info: <sip:carol@example.test>;index=1",
    "Referred-By: <sip:carol@example.test>",
    "b: <sip:carol@example.test>",
    "P-Called-Party-ID: <sip:carol@example.test>",
    "P-Served-User: <sip:carol@example.test>",
    "P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel",
    "Alert-Info: Auto Answer",
    "Call-Info: <sip:x>;answer-after=0",
    "Answer-Mode: Auto",
    "Auto-Answer: yes",
    "Resource-Priority: q735.0",
    "Reply-To: <sip:carol@example.test>",
  ])("says no %s", (line) => {
    const { world, bob, call } = called(200);
    for (const method of ["INVITE", "INFO", "MESSAGE", "REFER", "ACK", "BYE"]) {
      const sent = call.send(world, method, "caller", { headers: [line, "Subject: x"] });
      const request = sent.find(({ key, message }) => key === bob.key && message.method === method);
      expect([method, request?.text.includes("Subject: x"), request?.text.includes(line)]).toEqual([method, true, false]);
    }
  });

  it("a user of ours goes on saying it, and a name of ours is shown by nobody else", () => {
    const rig = rigOf();
    const call = calledByAlice(rig, 200);
    expect(one(call.send(rig.world, "INFO", "caller", { headers: ["Alert-Info: x"] }), "INFO").text).toContain("Alert-Info: x");
    const { world, eve, call: hers } = called(200);
    const masked = hers.request("INVITE", "caller").replace(/^Contact: .*/m, 'Contact: "bob%40example.test" <sip:eve@198.51.100.66:5066>');
    expect(told(world.receive(eve.key, masked))).toEqual([`${eve.key} 403`]);
  });
});

describe("REGISTER and PUBLISH are in no dialog", () => {
  it.each(["REGISTER", "PUBLISH"])("%s with a token of a call: 403, whoever sends it", (method) => {
    for (const status of [180, 200]) {
      const rig = rigOf();
      const call = calledByAlice(rig, status);
      expect(told(call.send(rig.world, method, "caller", { headers: ["Event: presence"] }))).toEqual([`${rig.alice.key} 403`]);
      expect(told(call.send(rig.world, method, "callee", { headers: ["Event: presence"] }))).toEqual([`${rig.bob.key} 403`]);
    }
  });

  it("PUBLISH outside of calls is a user's of ours, as ever", () => {
    const { world, alice, bob } = rigOf();
    expect(told(proved(world, alice, "PUBLISH", "sip:bob@example.test", ["Event: presence"]))).toEqual([`${bob.key} PUBLISH`]);
  });
});

describe("[RFC5057] a subscription lets its own requests pass, and no others", () => {
  const others = ["INVITE", "REFER", "MESSAGE", "INFO", "BYE", "UPDATE", "OPTIONS"];

  it("when the call that it was made in has never been answered", () => {
    const rig = rigOf();
    const { world, alice, bob } = rig;
    const call = calledByAlice(rig, 180);
    const headers = ["Event: dialog", "Expires: 604800"];
    const subscribe = one(call.send(world, "SUBSCRIBE", "caller", { headers }), "SUBSCRIBE");
    expect(told(answers(world, bob, subscribe, 202, ["Expires: 604800"]))).toEqual([`${alice.key} 202`]);
    // It does not stand in the way of the call either.
    expect(told(call.send(world, "PRACK", "caller"))).toEqual([`${bob.key} PRACK`]);
    answers(world, bob, call.invite, 487);
    for (const wait of [0, 3_000, 3_600_000]) {
      world.advance(wait);
      for (const method of others) expect([wait, told(call.send(world, method, "caller"))]).toEqual([wait, [`${alice.key} 481`]]);
      expect(told(call.send(world, "SUBSCRIBE", "caller", { headers }))).toEqual([`${bob.key} SUBSCRIBE`]);
      expect(told(call.send(world, "NOTIFY", "callee", { headers }))).toEqual([`${alice.key} NOTIFY`]);
    }
  });

  it("when the call is over; the other replica says so as well", () => {
    const { world, bob, eve, call } = called(200);
    answers(world, bob, one(call.send(world, "REFER", "caller", { headers: ["Refer-To: <sip:x@elsewhere.test>"] }), "REFER"), 202);
    answers(world, bob, one(call.send(world, "BYE", "caller"), "BYE"), 200);
    world.advance(41_000);
    world.exchange.sweep(world.now);
    for (const method of others) expect(told(call.send(world, method, "caller"))).toEqual([`${eve.key} 481`]);
    expect(told(call.send(world, "NOTIFY", "callee", { headers: ["Event: refer"] }))).toEqual([`${eve.key} NOTIFY`]);
    const other = new TestExchange("digest", { cell: "b", now: startedAt });
    for (const record of world.exchange.store.changedSince(0, 1_000).records) other.exchange.applyFromPeer(record, other.now);
    other.exchange.setMemory(world.exchange.memory);
    other.exchange.setPeerKnown(Number.POSITIVE_INFINITY, other.now);
    expect(told(call.send(other, "NOTIFY", "callee", { headers: ["Event: refer"] }))).toEqual([`${eve.key} NOTIFY`]);
  });

  it("an ACK or BYE that is repeated after the call passes, subscription or not", () => {
    const { world, bob, call } = called(200);
    answers(world, bob, one(call.send(world, "REFER", "caller", { headers: ["Refer-To: <sip:x@elsewhere.test>"] }), "REFER"), 202);
    answers(world, bob, one(call.send(world, "BYE", "caller"), "BYE"), 200);
    for (const method of ["ACK", "BYE"]) expect(told(call.send(world, method, "caller"))).toEqual([`${bob.key} ${method}`]);
  });
});
