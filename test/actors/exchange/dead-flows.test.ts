import { describe, expect, it } from "vitest";
import { formerFlowsMax, phoneReturnMs, phoneSearchMs, silentSearchMs } from "../../../sip/limits.ts";
import { exchangeOf } from "../../../cluster/map/cluster-map.ts";
import { joinFlow, type Transport } from "../../../sip/flow/flow.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { DialogCall, one, told } from "./dialog-call.ts";
import { answer, TestExchange, testMap, TestPhone, type Sent, type TestExchangeOptions } from "./harness.ts";

/** Both replicas have died with a call that was young: no disk has it. Its phones have lost their connections, and come back on others. */

const bobsExchange = exchangeOf(testMap("open", 2), "bob@example.test");
const options: TestExchangeOptions = { exchange: bobsExchange, exchangeCount: 2 };
const users = Array.from({ length: 40 }, (_, index) => `caller${index}`);
const here = users.find((user) => exchangeOf(testMap("open", 2), `${user}@example.test`) === bobsExchange) ?? "";
const elsewhere = users.find((user) => exchangeOf(testMap("open", 2), `${user}@example.test`) !== bobsExchange) ?? "";

/** A phone that has registered, and comes back. */
class Returning {
  readonly #of: (port: number) => TestPhone;
  readonly #headers: readonly string[];
  #port: number;
  #cSeq = 0;
  phone: TestPhone;

  constructor(user: string, port: number, transport: Transport, access?: string, isOutbound = false, [regId, name] = [1, port]) {
    const { contact: own, via } = new TestPhone(user, "203.0.113.9", port, transport, access);
    // A Contact stays (RFC 7118 5, RFC 5626 4.2).
    const contact = own.replace(`@${user}.`, `@${user}-${port}.`);
    this.#of = (at) => Object.assign(new TestPhone(user, "203.0.113.9", at, transport, access), { contact, via });
    const instance = `;reg-id=${regId};+sip.instance="<urn:uuid:00000000-0000-4000-a000-00000000${name}>"`;
    this.#headers = [
      `To: <sip:${user}@example.test>`,
      `Call-ID: register-of-${port}`,
      "Expires: 600",
      ...(isOutbound ? [`Contact: ${contact}${instance}`, "Supported: outbound, path"] : []),
    ];
    this.#port = port;
    this.phone = this.#of(port);
  }

  register(world: TestExchange): Sent[] {
    this.#cSeq += 1;
    const { phone } = this;
    const text = phone.request("REGISTER", "sip:example.test", [...this.#headers, `CSeq: ${this.#cSeq} REGISTER`]);
    return world.receive(phone.key, text, phone.access);
  }

  /** Its connection is gone. */
  leave(): void {
    this.#port += 1_000;
    this.phone = this.#of(this.#port);
  }

  comeBack(world: TestExchange): Sent[] {
    this.leave();
    return this.register(world);
  }
}

/** A new replica has the registrations that were on the disk, and nothing else. */
function startedAnew(dead: TestExchange, unknown?: string): TestExchange {
  const world = new TestExchange("open", { ...options, now: dead.now + 2_000 });
  for (const record of dead.exchange.store.takeDirty().put) {
    if (record.kind === "binding" && record.value?.addressOfRecord !== unknown) world.exchange.restore(record);
  }
  return world;
}

/** What is sent on connections that are gone comes back; the rest of what was sent. */
function withoutDead(world: TestExchange, sent: readonly Sent[], dead: readonly string[]): Sent[] {
  return sent.flatMap((each) => {
    if (!dead.includes(each.key)) return [each];
    return withoutDead(world, world.record(RecordKind.undeliverable, each.key, each.text, each.access), dead);
  });
}

type Call = {
  readonly world: TestExchange;
  readonly call: DialogCall;
  readonly caller: Returning;
  readonly bob: Returning;
  dead: string[];
};

function young(caller: Returning, bob: Returning): Call {
  const before = new TestExchange("open", options);
  caller.register(before);
  bob.register(before);
  const call = new DialogCall(before, caller.phone, bob.phone);
  call.answer(before, 200);
  one(call.send(before, "ACK", "caller"), "ACK");
  return { world: startedAnew(before), call, caller, bob, dead: [caller.phone.key, bob.phone.key] };
}

/** A request within the call, from where its sender is now. */
function say({ world, call, caller, bob, dead }: Call, method: string, by: "caller" | "callee", changes = {}): Sent[] {
  const { key, access } = (by === "caller" ? caller : bob).phone;
  return withoutDead(world, world.receive(key, call.request(method, by, changes), access), dead);
}

const kinds: readonly (readonly [Transport, access: string, isOutbound: boolean])[] = [
  ["WS", "a.0", true],
  ["WS", "a.0", false],
  ["WSS", "g1", true],
  ["TCP", "g1", true],
  ["TLS", "g1", false],
];

function pairOf([transport, access, isOutbound]: (typeof kinds)[number], user = here): [Returning, Returning] {
  return [new Returning(user, 5070, transport, access, isOutbound), new Returning("bob", 5080, transport, access, isOutbound)];
}

describe.each(kinds)("[RFC5626 4.3] over %s of %s, outbound %j: a call that was young when both replicas died", (...kind) => {
  it.each(["BYE", "INVITE", "REFER"])("%s reaches either side where it has registered since", (method) => {
    for (const by of ["caller", "callee"] as const) {
      const call = young(...pairOf(kind));
      call.caller.comeBack(call.world);
      call.bob.comeBack(call.world);
      const [sender, receiver] = by === "caller" ? [call.caller, call.bob] : [call.bob, call.caller];
      const request = one(say(call, method, by), method);
      expect([request.access, request.key]).toEqual([receiver.phone.access, receiver.phone.key]);
      const sent = call.world.receive(receiver.phone.key, answer(request.message, 200, "x"), receiver.phone.access);
      expect(told(sent)).toEqual([`${sender.phone.key} 200`]);
    }
  });

  it("waits for a side that is not back yet, and for one whose first return did not last", () => {
    for (const by of ["caller", "callee"] as const) {
      const call = young(...pairOf(kind));
      const [sender, receiver] = by === "caller" ? [call.caller, call.bob] : [call.bob, call.caller];
      sender.comeBack(call.world);
      receiver.comeBack(call.world);
      call.dead.push(receiver.phone.key);
      expect(told(say(call, "BYE", by)).filter((each) => each.endsWith("BYE"))).toEqual([]);
      call.world.advance(phoneReturnMs / 2);
      const found = withoutDead(call.world, receiver.comeBack(call.world), call.dead);
      expect(told(found)).toContain(`${receiver.phone.key} BYE`);
    }
  });

  it("the ACK of its 2xx goes on as well", () => {
    const call = young(...pairOf(kind));
    call.caller.comeBack(call.world);
    call.bob.comeBack(call.world);
    expect(told(say(call, "ACK", "caller"))).toEqual([`${call.bob.phone.key} ACK`]);
  });

  it("nobody else is reached: not whom the To names, nor another phone of the user, however lately it has registered", () => {
    for (const by of ["caller", "callee"] as const) {
      const call = young(...pairOf(kind));
      const other = new Returning(by === "caller" ? "bob" : here, 5090, kind[0], kind[1], kind[2]);
      const carol = new Returning(users.find((user) => user !== here && user !== elsewhere) ?? "", 5095, kind[0], kind[1], kind[2]);
      for (const each of [other, carol]) each.comeBack(call.world);
      (by === "caller" ? call.bob : call.caller).comeBack(call.world);
      const toUri = `sip:${carol.phone.user}@example.test`;
      expect(told(say(call, "INFO", by, { toUri })).filter((each) => each.endsWith("INFO"))).toEqual([]);
      const gone = young(...pairOf(kind));
      const late = new Returning(by === "caller" ? "bob" : here, 5090, kind[0], kind[1], kind[2]);
      late.comeBack(gone.world);
      expect(told(say(gone, "INFO", by)).filter((each) => each.endsWith("INFO"))).toEqual([]);
      const answers = gone.world.advance(phoneReturnMs + 2_000).map(({ message }) => message.status);
      expect(answers.filter((status) => status !== 100)).toEqual([480]);
    }
  });
});

describe("[RFC5626 4.3] a caller whom another exchange serves", () => {
  it("is asked for there, and found by the flow that it had", () => {
    const call = young(...pairOf(["WS", "a.0", true], elsewhere));
    call.bob.comeBack(call.world);
    const [gone = ""] = call.dead;
    expect(told(say(call, "BYE", "callee"))).toEqual([]);
    const asked = call.world.flowsAsked.at(-1);
    expect(asked?.addressOfRecord).toBe(`${elsewhere}@example.test`);
    const at = (key: string, formerFlows: readonly string[]): { flow: string } & Record<string, unknown> => {
      return { contact: "sip:x@y.invalid", instanceId: "", flow: joinFlow("a.0", key), registeredAt: call.world.now, formerFlows };
    };
    const [other, own] = [new TestPhone(elsewhere, "203.0.113.9", 6099, "WS"), new TestPhone(elsewhere, "203.0.113.9", 6070, "WS")];
    const flows = [at(other.key, [joinFlow("a.0", "w0.c1.7f0000010001")]), at(own.key, [joinFlow("a.0", gone)])];
    call.world.exchange.flows(asked?.reference ?? "", flows as never, call.world.now);
    expect(told(call.world.drain())).toEqual([`${own.key} BYE`]);
  });
});

/**
 * A cut between the cells that nobody knows of yet: what a replica has been told since is nowhere else. Here is a call of phones with a flow at either
 * cell, at the replica that has never heard of it, and reaches its own cell only. `unknown`: whose registrations are known behind the cut only.
 */
function youngInACut(unknown?: string): { readonly call: Call; readonly second: Record<"caller" | "callee", Returning> } {
  const before = new TestExchange("open", options);
  const caller = new Returning(here, 5070, "WS", "a.0", true);
  const bob = new Returning("bob", 5080, "WS", "a.0", true);
  const second = {
    caller: new Returning(here, 5071, "WS", "b.0", true, [2, 5070]),
    callee: new Returning("bob", 5081, "WS", "b.0", true, [2, 5080]),
  };
  before.exchange.connectAccess("b.0", [{ transport: "WS", host: "example.test", port: 80 }]);
  for (const each of [second.caller, second.callee]) each.register(before);
  before.advance(1_000);
  for (const each of [caller, bob]) each.register(before);
  const call = new DialogCall(before, caller.phone, bob.phone);
  call.answer(before, 200);
  one(call.send(before, "ACK", "caller"), "ACK");
  const world = startedAnew(before, unknown);
  world.exchange.connectAccess("b.0", [{ transport: "WS", host: "example.test", port: 80 }]);
  world.exchange.setCells(new Set(["b"]), world.now);
  return { call: { world, call, caller, bob, dead: [] }, second };
}

describe("[RFC5626 4.2] a phone with two flows, of a call that is known at the other side of a cut only", () => {
  it.each(["BYE", "INVITE", "INFO"])("%s reaches it on the flow that it has on this side", (method) => {
    for (const by of ["caller", "callee"] as const) {
      const { call, second } = youngInACut();
      const [sender, receiver] = by === "caller" ? [second.caller, second.callee] : [second.callee, second.caller];
      const { key, access } = sender.phone;
      const request = one(call.world.receive(key, call.call.request(method, by), access), method);
      expect([request.access, request.key]).toEqual([receiver.phone.access, receiver.phone.key]);
      const sent = call.world.receive(receiver.phone.key, answer(request.message, 200, "x"), receiver.phone.access);
      expect(told(sent)).toEqual([`${key} 200`]);
    }
  });

  it("one that has none here is waited for as long as the request is: behind the cut it is known", () => {
    const { call, second } = youngInACut("bob@example.test");
    const { world, bob } = call;
    const { key, access } = second.caller.phone;
    expect(told(world.receive(key, call.call.request("BYE", "caller"), access))).toEqual([]);
    expect(told(world.advance(silentSearchMs - 1_000))).toEqual([`${key} 100`]);
    world.exchange.setCells(new Set(["a", "b"]), world.now);
    const request = one(world.advance(0), "BYE");
    expect([request.access, request.key]).toEqual([bob.phone.access, bob.phone.key]);
    expect(told(world.receive(bob.phone.key, answer(request.message, 200, "x"), bob.phone.access))).toEqual([`${key} 200`]);
  });

  it("and no longer", () => {
    const { call, second } = youngInACut("bob@example.test");
    const { key, access } = second.caller.phone;
    call.world.receive(key, call.call.request("BYE", "caller"), access);
    expect(told(call.world.advance(silentSearchMs + phoneSearchMs))).toEqual([`${key} 100`, `${key} 480`]);
  });

  it("not another phone of the user's that has one there", () => {
    const { call, second } = youngInACut();
    const other = new Returning("bob", 5091, "WS", "b.0", true);
    other.register(call.world);
    const { key, access } = second.caller.phone;
    const request = one(call.world.receive(key, call.call.request("BYE", "caller"), access), "BYE");
    expect(request.key).toBe(second.callee.phone.key);
  });
});

describe("limits", () => {
  it("a binding remembers formerFlowsMax flows, and a phone that stays where it is none", () => {
    const world = new TestExchange("open", options);
    const bob = new Returning("bob", 5080, "WS", "a.0", true);
    bob.register(world);
    bob.register(world);
    const flows = (): readonly (readonly string[] | undefined)[] => {
      const found = world.exchange.flowsOf("bob@example.test", world.now);
      return found === "unavailable" ? [] : found.map((each) => each.formerFlows);
    };
    expect(flows()).toEqual([undefined]);
    const keys: string[] = [];
    for (let index = 0; index < 2 * formerFlowsMax; index += 1) {
      keys.unshift(joinFlow("a.0", bob.phone.key));
      bob.comeBack(world);
    }
    bob.register(world);
    expect(flows()).toEqual([keys.slice(0, formerFlowsMax)]);
  });

  it("one that has lost its connection remembers it until it is back", () => {
    const world = new TestExchange("open", options);
    const bob = new Returning("bob", 5080, "WS", "a.0", true);
    bob.register(world);
    const { key } = bob.phone;
    world.record(RecordKind.closed, key, "", "a.0");
    expect(world.exchange.flowsOf("bob@example.test", world.now)).toEqual([]);
    bob.comeBack(world);
    expect(world.exchange.flowsOf("bob@example.test", world.now)).toMatchObject([{ formerFlows: [joinFlow("a.0", key)] }]);
  });
});
