import { describe, expect, it } from "vitest";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { callReason } from "../../../cluster/calls/call-reason.ts";
import { t1Ms } from "../../../sip/limits.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { callKey, callRank } from "../../../sip/record/call-record.ts";
import { parseRecord, serializeRecord } from "../../../sip/record/record-text.ts";
import type { Call } from "../../../sip/record/values.ts";
import { DialogCall, one, told } from "./dialog-call.ts";
import { answer, type TestExchange, TestPhone, type Sent } from "./harness.ts";
import { aWorld, type World } from "./two-phones.ts";

function callsOf({ exchange }: TestExchange): Call[] {
  return Array.from(exchange.store.records("call"), ({ value }) => value);
}

function established({ world, alice, bob }: World, options: ConstructorParameters<typeof DialogCall>[3] = {}): DialogCall {
  const call = new DialogCall(world, alice, bob, options);
  call.answer(world, 180);
  world.advance(1_000);
  call.answer(world, 200);
  call.send(world, "ACK", "caller");
  return call;
}

const isTheCall = (key: string): boolean => key === callKey("the-call", "caller-tag");

function end({ exchange, now }: TestExchange, isIt = isTheCall): string {
  return exchange.endCall(isIt, now);
}

/** The two BYEs of an event: that to the caller, and that to the callee. */
function byesIn(sent: readonly Sent[], { alice, bob }: World): readonly [Sent, Sent] {
  expect(told(sent).toSorted()).toEqual([`${alice.key} BYE`, `${bob.key} BYE`].toSorted());
  const to = (phone: TestPhone): Sent =>
    one(
      sent.filter(({ key }) => key === phone.key),
      "BYE",
    );
  return [to(alice), to(bob)];
}

function linesOf({ message }: Sent): string[] {
  const cSeq = message.cSeq;
  return [
    message.requestUri,
    message.text(Header.From) ?? "",
    message.text(Header.To) ?? "",
    message.callId,
    "number" in cSeq ? String(cSeq.number) : "",
    message.text(Header.Reason) ?? "",
  ];
}

const reason = 'Q.850 ;cause=16 ;text="Ended by an operator"';

describe("[RFC3261 15.1.1] a call that an operator ends", () => {
  it.each(["UDP", "TCP"] as const)(
    "is hung up at both phones, each with the other one's tags and the next of its numbers, over %s",
    (transport) => {
      const all = aWorld(transport);
      const { world, alice, bob } = all;
      const call = established(all);
      const info = one(call.send(world, "INFO", "callee"), "INFO");
      world.receive(alice.key, answer(info.message, 200, "x"));
      expect(end(world)).toBe("hungUp");
      const [toCaller, toCallee] = byesIn(world.drain(), all);
      const [caller, callee] = ["<sip:alice@example.test>;tag=caller-tag", "<sip:bob@example.test>;tag=callee-tag"];
      expect(linesOf(toCallee)).toEqual([bob.contact.slice(1, -1), caller, callee, "the-call", "3", reason]);
      expect(linesOf(toCaller)).toEqual([alice.contact.slice(1, -1), callee, caller, "the-call", "103", reason]);
      expect(callsOf(world)).toMatchObject([
        { rank: callRank("heard", 0), end: world.now, status: 200, cause: "ended", isByOperator: true, answer: expect.any(Number) },
      ]);
      // What they answer goes nowhere, and ends the dialog; the record stays as it is.
      for (const [phone, bye] of [
        [alice, toCaller],
        [bob, toCallee],
      ] as const)
        expect(world.receive(phone.key, answer(bye.message, 200, "x"))).toEqual([]);
      expect(world.exchange.counts(world.now).dialogs).toBe(0);
      world.advance(70 * t1Ms);
      expect(callsOf(world)).toMatchObject([{ cause: "ended", isByOperator: true }]);
      expect(callsOf(world).map(callReason)).toEqual(["ended by an operator"]);
      expect(end(world)).toBe("unknown");
    },
  );

  it("is over though a phone does not answer, which is told again for as long as usual", () => {
    const all = aWorld();
    const { world, alice, bob } = all;
    established(all);
    end(world);
    const [, toCallee] = byesIn(world.drain(), all);
    world.receive(bob.key, answer(toCallee.message, 200, "x"));
    expect(world.exchange.counts(world.now).dialogs).toBe(0);
    const again = told(world.advance(65 * t1Ms));
    expect([again.filter((each) => each === `${alice.key} BYE`).length > 5, new Set(again).size]).toEqual([true, 1]);
    expect(callsOf(world)).toMatchObject([{ isByOperator: true }]);
  });

  it("is over when neither of them answers", () => {
    const all = aWorld();
    const { world } = all;
    established(all);
    end(world);
    world.advance(65 * t1Ms);
    expect([world.exchange.counts(world.now).dialogs, callsOf(world).length]).toEqual([0, 1]);
  });

  it("goes by the proxies between us and its phones, and to one outside under the name that it said", () => {
    const all = aWorld();
    const { world, bob } = all;
    const outside = new TestPhone("zoe", "192.0.2.99", 5090);
    const call = new DialogCall(world, outside, bob, {
      from: "From: Zoe <sip:zoe@elsewhere.test>;tag=caller-tag",
      below: ["<sip:192.0.2.98;lr>"],
      above: ["<sip:203.0.113.8;lr>"],
    });
    call.answer(world, 200);
    call.send(world, "ACK", "caller");
    expect(end(world)).toBe("hungUp");
    const byes = world.drain().filter(({ message }) => message.method === "BYE");
    expect(byes.map(({ message }) => [message.text(Header.To), message.values(Header.Route)])).toEqual([
      ["<sip:bob@example.test>;tag=callee-tag", ["<sip:203.0.113.8;lr>"]],
      ["<sip:zoe@elsewhere.test>;tag=caller-tag", ["<sip:192.0.2.98;lr>"]],
    ]);
  });

  it("finds a phone that has come back on another connection", () => {
    const all = aWorld("TCP");
    const { world, alice, bob } = all;
    established(all);
    world.record(RecordKind.closed, bob.key, "");
    world.advance(1_000);
    const moved = new TestPhone("bob", "203.0.113.9", 6080, "TCP");
    one(world.receive(moved.key, moved.register(600, [`Contact: ${bob.contact}`, "CSeq: 9 REGISTER"])), "SIP/2.0 200");
    expect(end(world)).toBe("hungUp");
    expect(told(world.drain()).toSorted()).toEqual([`${alice.key} BYE`, `${moved.key} BYE`].toSorted());
  });
});

const strange: readonly (readonly [string, ConstructorParameters<typeof DialogCall>[3]])[] = [
  ["the last CSeq number", { headers: ["CSeq: 2147483647 INVITE"] }],
  ["a Contact with headers", { headers: ["Contact: <sip:alice@198.51.100.7:5070?a=b>"] }],
  ["a Contact with a space", { headers: ["Contact: <sip:al ice@198.51.100.7:5070>"] }],
  ["an empty Contact", { headers: ["Contact:"] }],
  ["a Contact of the web", { headers: ["Contact: <http://198.51.100.7/x>"] }],
  ["a number as Contact", { headers: ["Contact: <tel:+123>"] }],
];

describe("[RFC3261 12.2.1.1] a phone that has chosen what makes its call hard to end: both are told", () => {
  it.each(strange)("%s", (_name, options) => {
    const all = aWorld();
    const { world, alice, bob } = all;
    established(all, options);
    expect(end(world)).toBe("hungUp");
    const [toCaller, toCallee] = byesIn(world.drain(), all);
    expect([toCaller, toCallee].map(({ message }) => message.checkMandatory())).toEqual([undefined, undefined]);
    expect(callsOf(world).map(callReason)).toEqual(["ended by an operator"]);
    world.receive(alice.key, answer(toCaller.message, 200, "x"));
    world.receive(bob.key, answer(toCallee.message, 200, "x"));
    expect(world.exchange.counts(world.now).dialogs).toBe(0);
  });

  it("the last CSeq number is said again", () => {
    const all = aWorld();
    established(all, { headers: ["CSeq: 2147483647 INVITE"] });
    end(all.world);
    expect(byesIn(all.world.drain(), all)[1].message.cSeq).toMatchObject({ number: 2147483647 });
  });

  it.each(["<http://203.0.113.9/>", "<tel:+1>", "<sip:bob@203.0.113.9:5080?a=b>"])("its callee's Contact is %s", (contact) => {
    const all = aWorld();
    const { world, alice, bob } = all;
    const { invite } = new DialogCall(world, alice, bob);
    world.receive(bob.key, answer(invite.message, 200, "callee-tag", [`Contact: ${contact}`]));
    expect(end(world)).toBe("hungUp");
    byesIn(world.drain(), all);
  });

  it("a stranger's From and Contact are none of SIP", () => {
    const all = { ...aWorld(), alice: new TestPhone("zoe", "192.0.2.99", 5090) };
    const { world, bob } = all;
    established(all, { from: "From: <http://a@b/>;tag=caller-tag", headers: ["Contact: <http://192.0.2.99/>"] });
    expect(end(world)).toBe("hungUp");
    const [, toCallee] = byesIn(world.drain(), all);
    expect([toCallee.key, toCallee.message.text(Header.From)]).toEqual([bob.key, "<sip:anonymous@anonymous.invalid>;tag=caller-tag"]);
  });

  it("its callee is a trunk outside, whose Contact is a number", () => {
    const all = { ...aWorld(), bob: new TestPhone("bob", "192.0.2.55", 5080) };
    const { world, alice, bob } = all;
    const { invite } = new DialogCall(world, alice, bob, { uri: "sip:+4912@192.0.2.55:5080" });
    world.receive(bob.key, answer(invite.message, 200, "callee-tag", ["Contact: <tel:+4912>"]));
    expect(end(world)).toBe("hungUp");
    byesIn(world.drain(), all);
  });

  it("a later INVITE in the call has such a Contact", () => {
    const all = aWorld();
    const { world, bob } = all;
    const call = established(all);
    const again = one(call.send(world, "INVITE", "caller", { headers: ["Contact: <http://198.51.100.7/x>"] }), "INVITE");
    world.receive(bob.key, answer(again.message, 200, "x", [`Contact: ${bob.contact}`]));
    call.send(world, "ACK", "caller");
    expect(end(world)).toBe("hungUp");
    byesIn(world.drain(), all);
  });
});

it("a call to whose caller there is no way is not said to be ended, and stays until its callee has answered", () => {
  const all = aWorld();
  const { world, bob } = all;
  established(all, { below: ["<http://nowhere/>"] });
  expect(end(world)).toBe("callerUntold");
  expect([callsOf(world), world.exchange.counts(world.now).dialogs]).toEqual([[], 1]);
  expect(told(world.drain())).toEqual([`${bob.key} BYE`]);
});

it("a call to whose callee there is no way stands, and nobody is told", () => {
  const all = aWorld();
  const { world } = all;
  const trunk = "192.0.2.55";
  const call = new DialogCall(world, all.alice, new TestPhone("bob", trunk, 5080), {
    uri: `sip:+4912@${trunk}:5080`,
    above: ["<http://nowhere/>"],
  });
  call.answer(world, 200);
  call.send(world, "ACK", "caller");
  expect(end(world)).toBe("calleeUntold");
  expect([told(world.drain()), callsOf(world), world.exchange.counts(world.now).dialogs]).toEqual([[], [], 1]);
});

describe("[RFC3261 16.10] a call that an operator ends while it rings", () => {
  it("is cancelled at the phone, and its caller is told 487", () => {
    const all = aWorld();
    const { world, alice, bob } = all;
    const call = new DialogCall(world, alice, bob);
    call.answer(world, 180);
    expect(end(world)).toBe("cancelled");
    const cancel = one(world.drain(), "CANCEL");
    expect([cancel.key, cancel.message.text(Header.Reason)]).toEqual([bob.key, 'SIP ;cause=487 ;text="Ended by an operator"']);
    world.receive(bob.key, answer(cancel.message, 200, "x"));
    expect(told(call.answer(world, 487))).toEqual([`${bob.key} ACK`, `${alice.key} 487`]);
    expect(callsOf(world)).toMatchObject([{ rank: callRank("refused", 2), status: 487, cause: "cancelled", isByOperator: true }]);
    expect(end(world)).toBe("unknown");
  });

  it("is another one when the phone has answered before it heard of that", () => {
    const all = aWorld();
    const { world, alice, bob } = all;
    const call = new DialogCall(world, alice, bob);
    call.answer(world, 180);
    end(world);
    world.drain();
    call.answer(world, 200);
    call.send(world, "ACK", "caller");
    const bye = one(call.send(world, "BYE", "caller"), "BYE");
    world.receive(bob.key, answer(bye.message, 200, "x"));
    expect(callsOf(world)).toMatchObject([{ rank: callRank("heard", 0), cause: "callerHungUp" }]);
    expect(callsOf(world)[0]).not.toHaveProperty("isByOperator");
  });
});

it("a record that says so is read as it was written, and by a release before without that", () => {
  const { world, alice, bob } = aWorld();
  established({ world, alice, bob });
  end(world);
  const [record] = world.exchange.store.records("call");
  if (record === undefined) throw new Error("no record");
  const text = serializeRecord(record);
  expect(parseRecord(text)).toEqual(record);
  const before = JSON.stringify((JSON.parse(text) as unknown[]).slice(0, 18));
  expect(parseRecord(before)).toMatchObject({ value: { cause: "ended", failovers: 0 } });
});
