import { describe, expect, it } from "vitest";
import { Header } from "../../../sip/message/header-names.ts";
import type { Transport } from "../../../sip/flow/flow.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { DialogCall } from "./dialog-call.ts";
import { answer, TestExchange, TestPhone, type Sent } from "./harness.ts";

/** What the phones of a call know of each other, a third one can know as well. He registers it as his own, and gets nothing of their call. */

const instance = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e128>"';

type Case = { readonly transport: Transport; readonly hasInstance: boolean; readonly side: "caller" | "callee" };

const cases = (["UDP", "TCP", "TLS", "WS", "WSS"] as const).flatMap((transport) =>
  [true, false].flatMap((hasInstance) => (["caller", "callee"] as const).map((side): Case => ({ transport, hasInstance, side }))),
);

/** A REGISTER with this phone's Contact, and its instance. */
function register(world: TestExchange, phone: TestPhone, hasInstance: boolean): void {
  const contact = `Contact: ${phone.contact}${hasInstance ? `;${instance};reg-id=1` : ""}`;
  const sent = world.receive(
    phone.key,
    phone.register(600, [contact, ...(hasInstance ? ["Supported: outbound, path"] : [])]),
    phone.access,
  );
  expect(sent.map(({ message }) => message.status)).toEqual([200]);
}

class Stolen {
  readonly world = new TestExchange("open");
  readonly victim: TestPhone;
  readonly other: TestPhone;
  readonly thief: TestPhone;
  readonly call: DialogCall;
  readonly #case: Case;

  /** `taker`: who registers that Contact; whose user it is, if he is not somebody else. */
  constructor(one: Case, taker = "mal") {
    this.#case = one;
    const { transport, hasInstance, side } = one;
    this.victim = new TestPhone(side === "callee" ? "bob" : "alice", "198.51.100.7", 5070, transport);
    this.other = new TestPhone(side === "callee" ? "alice" : "bob", "203.0.113.9", 5080);
    this.thief = Object.assign(new TestPhone(taker, "198.51.100.66", 5099, transport), {
      contact: this.victim.contact,
      via: this.victim.via,
    });
    register(this.world, this.victim, hasInstance);
    register(this.world, this.other, false);
    const [caller, callee] = side === "callee" ? [this.other, this.victim] : [this.victim, this.other];
    const contact = side === "caller" && hasInstance ? [`Contact: ${caller.contact};${instance}`] : [];
    this.call = new DialogCall(this.world, caller, callee, { headers: contact });
    const tag = side === "callee" && hasInstance ? [`Contact: ${callee.contact};${instance}`] : [];
    const text = answer(this.call.invite.message, 200, "callee-tag", tag.length > 0 ? tag : [`Contact: ${callee.contact}`]);
    this.world.receive(callee.key, text, callee.access);
    this.world.receive(caller.key, this.call.request("ACK", "caller"), caller.access);
    expect(this.world.exchange.counts(this.world.now).dialogs).toBe(1);
  }

  /** The victim's connection is gone, or does not answer; then somebody else says that he is this phone. */
  steal(isClosed: boolean): void {
    const { victim, world } = this;
    if (isClosed) world.record(RecordKind.closed, victim.key, "", victim.access);
    world.advance(1_000);
    register(world, this.thief, this.#case.hasInstance);
    this.world.sent.length = 0;
  }

  /** The other side says something to the victim; everything that leaves until all is over. `isDeadEnd`: where it was is told to be gone. */
  say(method: string, isDeadEnd: boolean): Sent[] {
    const { world, victim, other } = this;
    const by = this.#case.side === "callee" ? "caller" : "callee";
    const [first] = world.receive(other.key, this.call.request(method, by), other.access).filter(({ message }) => message.isRequest);
    if (isDeadEnd && first !== undefined) world.record(RecordKind.undeliverable, first.key, first.text, victim.access);
    world.advance(40_000);
    return world.sent;
  }
}

describe.each(cases)("a $side over $transport whose Contact another user has registered (instance: $hasInstance)", (one) => {
  it.each(["BYE", "INVITE", "REFER", "ACK", "INFO"])("%s: never reaches him, whatever has become of the phone", (method) => {
    for (const isClosed of [true, false]) {
      for (const isDeadEnd of [true, false]) {
        const stolen = new Stolen(one);
        stolen.steal(isClosed);
        const sent = stolen.say(method, isDeadEnd);
        expect(sent.map(({ key }) => key)).not.toContain(stolen.thief.key);
      }
    }
  });

  it("[RFC5626 4.3] the same, as its own user, is the phone come back: then it does", () => {
    const stolen = new Stolen(one, one.side === "callee" ? "bob" : "alice");
    stolen.thief.register(); // its CSeq goes on
    stolen.steal(true);
    expect(stolen.say("INFO", true).map(({ key }) => key)).toContain(stolen.thief.key);
  });

  it("an answer that the phone waits for does not reach him either", () => {
    const stolen = new Stolen(one);
    const { world, victim, other, thief, call } = stolen;
    const [info] = world.receive(victim.key, call.request("INFO", one.side), victim.access).filter(({ message }) => message.isRequest);
    if (info === undefined) throw new Error("not forwarded");
    stolen.steal(true);
    const [ok] = world.receive(other.key, answer(info.message, 200, "x"), other.access);
    if (ok !== undefined) world.record(RecordKind.undeliverable, ok.key, ok.text, victim.access);
    world.advance(40_000);
    expect(world.sent.map(({ key }) => key)).not.toContain(thief.key);
  });

  it("an INVITE for the phone's user does not: he is another user", () => {
    const { world, victim, other, thief } = new Stolen(one);
    register(world, thief, one.hasInstance);
    world.record(RecordKind.closed, victim.key, "", victim.access);
    const invite = other.request("INVITE", `sip:${victim.user}@example.test`, ["Call-ID: next"]);
    const [first] = world.receive(other.key, invite, other.access).filter(({ message }) => message.isRequest);
    if (first !== undefined) world.record(RecordKind.undeliverable, first.key, first.text, victim.access);
    world.advance(40_000);
    expect(world.sent.filter(({ message }) => message.isRequest && message.callId === "next").map(({ key }) => key)).not.toContain(
      thief.key,
    );
    expect(world.sent.some(({ message }) => message.text(Header.CallId) === "next")).toBe(true);
  });
});
