import { describe, expect, it } from "vitest";
import { phoneAskMsMax } from "../../../actors/limits.ts";
import { phoneReturnMs, phoneSearchMs, phoneSilentMs } from "../../../sip/limits.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { exchangeOf } from "../../../cluster/map/cluster-map.ts";
import { joinFlow, type Transport } from "../../../sip/flow/flow.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { answer, testMap, TestExchange, TestPhone, valuesOf, type Sent } from "./harness.ts";

/** A phone changes its network in a call: its old connection stays open, and says nothing more. It registers again on another one. */

const map = testMap("open", 2);
const bobsExchange = exchangeOf(map, "bob@example.test");
const strangers = Array.from({ length: 40 }, (_, index) => `caller${index}`);
/** A user of the other exchange. */
const elsewhere = strangers.find((user) => exchangeOf(map, `${user}@example.test`) !== bobsExchange) ?? "";
/** A user of the same exchange. */
const here = strangers.find((user) => exchangeOf(map, `${user}@example.test`) === bobsExchange) ?? "";

type Call = {
  readonly world: TestExchange;
  readonly mover: TestPhone;
  readonly bob: TestPhone;
  /** A request of Bob's to the phone that moves. */
  readonly fromBob: (method: string) => Sent[];
};

/** A phone over UDP that is behind a NAT: nothing but its flow leads to it. */
function behindNat(user: string, port: number): TestPhone {
  const phone = new TestPhone(user, "198.51.100.7", port);
  return Object.assign(phone, { via: "SIP/2.0/UDP 10.0.0.7:5060;rport", contact: `<sip:${user}@10.0.0.7:5060>` });
}

function phoneOf(user: string, transport: Transport, port: number): TestPhone {
  return transport === "UDP" ? behindNat(user, port) : new TestPhone(user, "198.51.100.7", port, transport);
}

/** The phone that will move has called Bob, and the call stands. */
function standing(mover: TestPhone): Call {
  const world = new TestExchange("open", { exchange: bobsExchange, exchangeCount: 2 });
  const bob = new TestPhone("bob", "203.0.113.9", 5080);
  world.receive(bob.key, bob.register());
  const sent = world.receive(mover.key, mover.request("INVITE", "sip:bob@example.test"), mover.access);
  const invite = sent.find(({ message }) => message.method === "INVITE");
  if (invite === undefined) throw new Error("no INVITE");
  const [ok] = world.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`]));
  const routes = (ok?.message.values(Header.RecordRoute) ?? []).map((value) => `Route: ${value}`);
  const ackRoutes = (ok?.message.values(Header.RecordRoute) ?? []).toReversed().map((value) => `Route: ${value}`);
  const [, number = ""] = /CSeq: (\d+)/.exec(invite.text) ?? [];
  const toBob = ["To: <sip:bob@example.test>;tag=bob-tag", `CSeq: ${number} ACK`, ...ackRoutes];
  expect(world.receive(mover.key, mover.request("ACK", "sip:bob@203.0.113.9:5080", toBob), mover.access)).toHaveLength(1);
  world.advance(1_000);
  const uri = mover.contact.slice(1, -1);
  const parties = [
    "From: <sip:bob@example.test>;tag=bob-tag",
    `To: <sip:${mover.user}@example.test>;tag=${mover.user}-tag`,
    `Call-ID: call-of-${mover.user}`,
  ];
  const fromBob = (method: string): Sent[] => world.receive(bob.key, bob.request(method, uri, [...parties, ...routes]));
  return { world, mover, bob, fromBob };
}

const requestsIn = (sent: readonly Sent[], method: string): Sent[] => sent.filter(({ message }) => message.method === method);
const keysOf = (sent: readonly Sent[], method: string): string[] => requestsIn(sent, method).map(({ key }) => key);
const statuses = (sent: readonly Sent[]): number[] => sent.map(({ message }) => message.status).filter((status) => status >= 200);
const viaOf = (sent: Sent | undefined): string => (valuesOf(sent, "Via")[0] ?? "").replace(/^[^;]*/, "");

/** The other exchange answers: what is registered there. */
function registeredThere({ world, mover }: Pick<Call, "world" | "mover">, phones: readonly TestPhone[]): Sent[] {
  const asked = world.flowsAsked.at(-1);
  if (asked === undefined) throw new Error("nobody was asked");
  expect(asked.addressOfRecord).toBe(`${mover.user}@example.test`);
  const flows = phones.map(({ contact, access, key }) => {
    return { contact: contact.slice(1, -1), instanceId: "", flow: joinFlow(access, key), registeredAt: world.now };
  });
  world.exchange.flows(asked.reference, flows, world.now);
  return world.drain();
}

/** The same phone on its new connection: its Contact stays. */
function moved(phone: TestPhone, transport: Transport): TestPhone {
  const again = phoneOf(phone.user, transport, 6070);
  return Object.assign(again, { contact: phone.contact });
}

const transports: readonly Transport[] = ["TCP", "TLS", "WS", "WSS", "UDP"];

describe.each(transports)("a caller over %s whom another exchange serves, and whose old connection is half open", (transport) => {
  it("[RFC5626 4.3] is looked for as long as the BYE is waited for: cells that are cut from each other learn late where it is", () => {
    const call = standing(phoneOf(elsewhere, transport, 5070));
    const { world, mover, fromBob } = call;
    fromBob("BYE");
    world.advance(phoneSilentMs);
    const again = moved(mover, transport);
    for (const until = world.now + 25_000; world.now < until; world.advance(phoneAskMsMax)) registeredThere(call, []);
    expect(requestsIn(world.sent, "BYE").every(({ key }) => key === mover.key)).toBe(true);
    expect(keysOf(registeredThere(call, [again]), "BYE")).toEqual([again.key]);
    // A question after growing pauses, no more than one in the longest of them.
    expect(world.flowsAsked.length).toBeLessThan(25_000 / phoneAskMsMax + 6);
  });

  it.each(["BYE", "INVITE", "REFER"])(
    "[RFC5626 4.3] a %s of the other side reaches it on its latest binding, before T1 is over",
    (method) => {
      const call = standing(phoneOf(elsewhere, transport, 5070));
      const { world, mover, bob, fromBob } = call;
      const [first] = requestsIn(fromBob(method), method);
      expect(first?.key).toBe(mover.key);
      expect(world.flowsAsked).toEqual([]);
      const again = moved(mover, transport);
      expect(keysOf(world.advance(phoneSilentMs), method)).toEqual([]);
      const [second] = requestsIn(registeredThere(call, [again]), method);
      expect(second).toMatchObject({ access: again.access, key: again.key });
      expect(viaOf(second)).toBe(viaOf(first));
      if (second === undefined) throw new Error("not said again");
      const answered = world.receive(
        again.key,
        answer(second.message, 200, `${mover.user}-tag`, [`Contact: ${again.contact}`]),
        again.access,
      );
      expect(answered).toMatchObject([{ key: bob.key, message: { status: 200 } }]);
      // What follows goes there at once, as long as there is a dialog; then nowhere.
      expect(keysOf(fromBob("INFO"), "INFO")).toEqual(method === "BYE" ? [] : [again.key]);
    },
  );

  it("nobody is asked about a phone that answers, be it with a provisional response", () => {
    const { world, mover, bob, fromBob } = standing(phoneOf(elsewhere, transport, 5070));
    const [invite] = requestsIn(fromBob("INVITE"), "INVITE");
    if (invite === undefined) throw new Error("no INVITE");
    world.receive(mover.key, answer(invite.message, 100, ""), mover.access);
    expect(requestsIn(world.advance(10_000), "CANCEL")).toEqual([]);
    expect(world.flowsAsked).toEqual([]);
    const ok = answer(invite.message, 200, `${mover.user}-tag`, [`Contact: ${mover.contact}`]);
    expect(statuses(world.receive(mover.key, ok, mover.access))).toEqual([200]);
    const [bye] = requestsIn(fromBob("BYE"), "BYE");
    if (bye === undefined) throw new Error("no BYE");
    expect(world.receive(mover.key, answer(bye.message, 200, `${mover.user}-tag`), mover.access)).toMatchObject([{ key: bob.key }]);
    world.advance(10_000);
    expect(world.flowsAsked).toEqual([]);
  });

  it("one that is slow, and has not moved, gets nothing on another flow, and its answer counts", () => {
    const call = standing(phoneOf(elsewhere, transport, 5070));
    const { world, mover, fromBob } = call;
    const [bye] = requestsIn(fromBob("BYE"), "BYE");
    world.advance(phoneSilentMs);
    expect(registeredThere(call, [mover])).toEqual([]);
    if (bye === undefined) throw new Error("no BYE");
    expect(statuses(world.receive(mover.key, answer(bye.message, 200, `${mover.user}-tag`), mover.access))).toEqual([200]);
    const asked = world.flowsAsked.length;
    world.advance(phoneReturnMs);
    expect(world.flowsAsked).toHaveLength(asked);
  });

  it("one that registers again a little later gets it then", () => {
    const call = standing(phoneOf(elsewhere, transport, 5070));
    const { world, mover, fromBob } = call;
    const first = requestsIn(fromBob("BYE"), "BYE");
    world.advance(phoneSilentMs);
    registeredThere(call, [mover]);
    world.advance(1_500);
    const again = moved(mover, transport);
    const [second] = requestsIn(registeredThere(call, [again]), "BYE");
    expect([second?.key, viaOf(second)]).toEqual([again.key, viaOf(first[0])]);
  });

  it("also when the flow that it was found on is half open as well, by then, and never on one again where it was silent", () => {
    const call = standing(phoneOf(elsewhere, transport, 5070));
    const { world, mover, bob, fromBob } = call;
    const [first] = requestsIn(fromBob("BYE"), "BYE");
    world.advance(phoneSilentMs);
    const phones = [6071, 6072].map((port) => Object.assign(phoneOf(elsewhere, transport, port), { contact: mover.contact }));
    const [second, third] = phones;
    if (second === undefined || third === undefined) throw new Error("no phones");
    expect(keysOf(registeredThere(call, [second]), "BYE")).toEqual([second.key]);
    world.advance(phoneSilentMs);
    expect(keysOf(registeredThere(call, [second, mover]), "BYE")).toEqual([]);
    world.advance(phoneAskMsMax);
    const [last] = requestsIn(registeredThere(call, [second, third]), "BYE");
    expect([last?.key, viaOf(last)]).toEqual([third.key, viaOf(first)]);
    if (last === undefined) throw new Error("not said again");
    const ok = world.receive(third.key, answer(last.message, 200, `${mover.user}-tag`), third.access);
    expect(ok).toMatchObject([{ key: bob.key, message: { status: 200 } }]);
  });

  it("also when its flow was dead, and it was found on another one that is half open by then", () => {
    const call = standing(phoneOf(elsewhere, transport, 5070));
    const { world, mover, fromBob } = call;
    const [first] = requestsIn(fromBob("BYE"), "BYE");
    world.record(RecordKind.undeliverable, mover.key, first?.text ?? "", mover.access);
    const [second, third] = [6071, 6072].map((port) => Object.assign(phoneOf(elsewhere, transport, port), { contact: mover.contact }));
    if (second === undefined || third === undefined) throw new Error("no phones");
    expect(keysOf(registeredThere(call, [second]), "BYE")).toEqual([second.key]);
    world.advance(phoneSilentMs);
    expect(keysOf(registeredThere(call, [third]), "BYE")).toEqual([third.key]);
  });

  it("[RFC3261 12.2.1.2] a 481 of who is at its old address is not the last word while it has a later binding", () => {
    const call = standing(phoneOf(elsewhere, transport, 5070));
    const { world, mover, fromBob } = call;
    const [first] = requestsIn(fromBob("BYE"), "BYE");
    if (first === undefined) throw new Error("no BYE");
    expect(world.receive(mover.key, answer(first.message, 481, "other"), mover.access)).toEqual([]);
    const again = moved(mover, transport);
    const [second] = requestsIn(registeredThere(call, [again]), "BYE");
    if (second === undefined) throw new Error("not said again");
    expect(second.key).toBe(again.key);
    expect(statuses(world.receive(again.key, answer(second.message, 200, `${mover.user}-tag`), again.access))).toEqual([200]);
  });

  it("[RFC3261 12.2.1.2] else it is, after one question", () => {
    const call = standing(phoneOf(elsewhere, transport, 5070));
    const { world, mover, fromBob } = call;
    const [first] = requestsIn(fromBob("BYE"), "BYE");
    if (first === undefined) throw new Error("no BYE");
    world.receive(mover.key, answer(first.message, 481, "other"), mover.access);
    expect(statuses(registeredThere(call, [mover]))).toEqual([481]);
    expect(world.flowsAsked).toHaveLength(1);
  });

  it("[RFC3261 12.2.1.2] also when the other exchange says nothing", () => {
    const { world, mover, fromBob } = standing(phoneOf(elsewhere, transport, 5070));
    const [first] = requestsIn(fromBob("BYE"), "BYE");
    if (first === undefined) throw new Error("no BYE");
    world.receive(mover.key, answer(first.message, 481, "other"), mover.access);
    expect(statuses(world.advance(phoneSearchMs))).toEqual([481]);
  });
});

it("[RFC5626 4.3] a caller over UDP whose address has changed is found by its binding, too", () => {
  const call = standing(new TestPhone(elsewhere, "198.51.100.7", 5070));
  const { world, mover, fromBob } = call;
  const [first] = requestsIn(fromBob("BYE"), "BYE");
  expect(first?.key).toBe(mover.key);
  world.advance(phoneSilentMs);
  const again = Object.assign(new TestPhone(elsewhere, "198.51.100.99", 5070), { contact: mover.contact });
  const [second] = requestsIn(registeredThere(call, [again]), "BYE");
  expect([second?.key, viaOf(second)]).toEqual([again.key, viaOf(first)]);
});

it.each(transports)(
  "[RFC5626 4.3] a caller over %s of the same exchange that registers while a request is under way gets it there",
  (transport) => {
    const call = standing(phoneOf(here, transport, 5070));
    const { world, mover, fromBob } = call;
    world.receive(mover.key, mover.register(), mover.access);
    const [first] = requestsIn(fromBob("BYE"), "BYE");
    expect(first?.key).toBe(mover.key);
    expect(keysOf(world.advance(phoneSilentMs + 100), "BYE")).toEqual([]);
    const again = moved(mover, transport);
    for (let used = 0; used < 5; used += 1) again.register(); // its CSeq goes on
    const [second] = requestsIn(world.receive(again.key, again.register(), again.access), "BYE");
    expect([second?.key, viaOf(second)]).toEqual([again.key, viaOf(first)]);
  },
);

describe.each(transports)("a called phone over %s that changes its network", (transport) => {
  /** Somebody calls Bob's phone; where it is afterwards. */
  function called(): {
    readonly world: TestExchange;
    readonly bob: TestPhone;
    readonly back: TestPhone;
    readonly caller: TestPhone;
    readonly invite: Sent;
  } {
    const world = new TestExchange();
    const bob = phoneOf("bob", transport, 5080);
    const caller = new TestPhone("alice", "203.0.113.9", 5070);
    world.receive(bob.key, bob.register(), bob.access);
    const [invite] = requestsIn(world.receive(caller.key, caller.request("INVITE", "sip:bob@example.test")), "INVITE");
    if (invite === undefined) throw new Error("no INVITE");
    const back = moved(bob, transport);
    for (let used = 0; used < 5; used += 1) back.register(); // its CSeq goes on
    return { world, bob, back, caller, invite };
  }

  it("[RFC5626 4.3] hears of a call that went to its old connection as soon as it has registered", () => {
    const { world, bob, back, caller, invite } = called();
    expect(invite.key).toBe(bob.key);
    world.advance(2_000);
    const [again] = requestsIn(world.receive(back.key, back.register(), back.access), "INVITE");
    expect([again?.key, viaOf(again)]).toEqual([back.key, viaOf(invite)]);
    if (again === undefined) throw new Error("no INVITE");
    const ok = world.receive(back.key, answer(again.message, 200, "bob-tag", [`Contact: ${back.contact}`]), back.access);
    expect(ok).toMatchObject([{ key: caller.key, message: { status: 200 } }]);
    // It is in the dialog with that.
    const routes = (ok[0]?.message.values(Header.RecordRoute) ?? []).toReversed().map((value) => `Route: ${value}`);
    const bye = caller.request("BYE", back.contact.slice(1, -1), ["To: <sip:bob@example.test>;tag=bob-tag", ...routes]);
    expect(keysOf(world.receive(caller.key, bye), "BYE")).toEqual([back.key]);
  });

  it("[RFC3261 9.1] stops ringing when its caller hangs up", () => {
    const { world, bob, back, caller, invite } = called();
    world.receive(bob.key, answer(invite.message, 180, "bob-tag"), bob.access);
    world.advance(1_000);
    world.receive(back.key, back.register(), back.access);
    const branch = /;branch=z9hG4bK\w+/.exec(caller.request("INVITE", "sip:bob@example.test"))?.[0].replace(/\d+$/, "1") ?? "";
    const cancel = caller.request("CANCEL", "sip:bob@example.test", ["CSeq: 1 CANCEL"]).replace(/;branch=z9hG4bK\w+/, branch);
    expect(keysOf(world.receive(caller.key, cancel), "CANCEL")).toEqual([bob.key]);
    const [again] = requestsIn(world.advance(phoneSilentMs), "CANCEL");
    expect([again?.key, viaOf(again)]).toEqual([back.key, viaOf(invite)]);
    if (again === undefined) throw new Error("no CANCEL");
    world.receive(back.key, answer(again.message, 200, "bob-tag"), back.access);
    expect(statuses(world.receive(back.key, answer(invite.message, 487, "bob-tag"), back.access))).toEqual([487]);
  });
});

describe.each(["TCP", "TLS", "WS"] as const)("a callee over %s that moves while it rings, its old connection half open", (transport) => {
  it("[RFC3261 13.2.2.4] has the ACK and what follows on the connection that its 200 came on", () => {
    const world = new TestExchange();
    const [bob, alice] = [phoneOf("bob", transport, 5070), new TestPhone("alice", "203.0.113.9", 5080)];
    world.receive(bob.key, bob.register(), bob.access);
    const sent = world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test"));
    const [invite] = requestsIn(sent, "INVITE");
    if (invite === undefined) throw new Error("no INVITE");
    world.receive(bob.key, answer(invite.message, 180, "bob-tag"), bob.access);
    const again = moved(bob, transport);
    world.receive(again.key, again.register(), again.access);
    world.advance(1_000);
    const ok = answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`]);
    const [passed] = world.receive(again.key, ok, again.access);
    const routes = (passed?.message.values(Header.RecordRoute) ?? []).toReversed().map((value) => `Route: ${value}`);
    const [, number = ""] = /CSeq: (\d+)/.exec(invite.text) ?? [];
    const parties = ["To: <sip:bob@example.test>;tag=bob-tag", ...routes];
    const uri = bob.contact.slice(1, -1);
    const acks = world.receive(alice.key, alice.request("ACK", uri, [...parties, `CSeq: ${number} ACK`]));
    expect(keysOf(acks, "ACK")).toEqual([again.key]);
    expect(keysOf(world.receive(alice.key, alice.request("BYE", uri, parties)), "BYE")).toEqual([again.key]);
  });
});

describe("[RFC5626 4.2] a phone that is slow, and whose other flow is dead", () => {
  const instance = '+sip.instance="<urn:uuid:00000000-0000-4000-a000-000000000001>"';

  function slow(): {
    readonly world: TestExchange;
    readonly alice: TestPhone;
    readonly flows: readonly TestPhone[];
    readonly invite: Sent;
  } {
    const world = new TestExchange("open");
    const alice = new TestPhone("alice", "203.0.113.9", 5070);
    const flows = [2, 1].map((regId) => {
      const bob = new TestPhone("bob", "198.51.100.7", 5080 + regId, "TCP");
      const headers = [`Contact: ${bob.contact};reg-id=${regId};${instance}`, "Supported: outbound, path", `CSeq: ${9 - regId} REGISTER`];
      world.receive(bob.key, bob.register(600, headers), bob.access);
      world.advance(1);
      return bob;
    });
    const [invite] = requestsIn(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    if (invite === undefined) throw new Error("no INVITE");
    return { world, alice, flows, invite };
  }

  it("is waited for where it is", () => {
    const { world, alice, flows, invite } = slow();
    const [dead, alive] = flows;
    if (dead === undefined || alive === undefined) throw new Error("no flows");
    expect(invite.key).toBe(alive.key);
    const [other] = requestsIn(world.advance(phoneSilentMs), "INVITE");
    expect(other?.key).toBe(dead.key);
    const sent = world.record(RecordKind.undeliverable, dead.key, other?.text ?? "");
    expect(sent.map(({ key, text }) => [key, text])).toEqual([[alive.key, invite.text]]);
    expect(statuses(world.advance(5_000))).toEqual([]);
    const rings = world.receive(alive.key, answer(invite.message, 180, "bob-tag"));
    expect(rings).toMatchObject([{ key: alice.key, message: { status: 180 } }]);
    const ok = world.receive(alive.key, answer(invite.message, 200, "bob-tag", [`Contact: ${alive.contact}`]));
    expect(ok).toMatchObject([{ key: alice.key, message: { status: 200 } }]);
  });

  it("is away when that connection is dead as well", () => {
    const { world, flows, invite } = slow();
    const [dead] = flows;
    const [other] = requestsIn(world.advance(phoneSilentMs), "INVITE");
    world.record(RecordKind.undeliverable, dead?.key ?? "", other?.text ?? "");
    // The other one is tried once more by itself (RFC 5626 7).
    const [last] = requestsIn(world.record(RecordKind.undeliverable, invite.key, invite.text), "INVITE");
    world.record(RecordKind.undeliverable, dead?.key ?? "", last?.text ?? "");
    world.advance(phoneReturnMs + 1_000);
    expect(statuses(world.sent)).toContain(480);
  });
});

describe.each(["TCP", "TLS", "WS", "WSS"] as const)("a caller over %s that moves while it waits for the answer", (transport) => {
  type Accepted = {
    readonly world: TestExchange;
    readonly mover: TestPhone;
    /** Its phone says the 2xx once more. */
    readonly again: () => Sent[];
  };

  /** Bob's phone has accepted a call whose caller is gone from its connection. */
  function accepted(user: string): Accepted {
    const world = new TestExchange("open", { exchange: bobsExchange, exchangeCount: 2 });
    const [mover, bob] = [phoneOf(user, transport, 5070), new TestPhone("bob", "203.0.113.9", 5080)];
    world.receive(bob.key, bob.register());
    if (user === here) world.receive(mover.key, mover.register(), mover.access);
    const sent = world.receive(mover.key, mover.request("INVITE", "sip:bob@example.test", [`Contact: ${mover.contact}`]), mover.access);
    const [invite] = requestsIn(sent, "INVITE");
    if (invite === undefined) throw new Error("no INVITE");
    const again = (): Sent[] => world.receive(bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.contact}`]));
    world.advance(1_000);
    expect(again()).toMatchObject([{ key: mover.key, message: { status: 200 } }]);
    return { world, mover, again };
  }

  it.each([here, elsewhere])("[RFC5626 4.3] hears of a 2xx that nobody acknowledges where it has registered since: %s", (user) => {
    const { world, mover, again } = accepted(user);
    const back = moved(mover, transport);
    for (let used = 0; used < 5; used += 1) back.register(); // its CSeq goes on
    if (user === here) world.receive(back.key, back.register(), back.access);
    world.advance(500);
    const sent = again();
    if (user === elsewhere) sent.push(...registeredThere({ world, mover }, [back]));
    expect(sent.map(({ key, message }) => `${key} ${message.status}`)).toEqual([`${mover.key} 200`, `${back.key} 200`]);
    world.advance(1_000);
    expect(again().map(({ key }) => key)).toContain(back.key);
  });

  it("nobody else does, and nothing is said twice where it has not moved", () => {
    const { world, mover, again } = accepted(elsewhere);
    world.advance(500);
    expect(again().map(({ key }) => key)).toEqual([mover.key]);
    const other = Object.assign(phoneOf(elsewhere, transport, 7070), { contact: "<sip:other@other.invalid>" });
    expect(registeredThere({ world, mover }, [mover, other])).toEqual([]);
  });
});
