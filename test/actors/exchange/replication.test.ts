import { describe, expect, it } from "vitest";
import { phoneReturnMs, timerCMs } from "../../../sip/limits.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { serializeFlowKey } from "../../../sip/flow/flow.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { CallingPhone } from "./calling-phone.ts";
import { answer, TestExchange, TestPhone, type Sent } from "./harness.ts";
import { PairWorld, type Cell } from "./pair-world.ts";

const instance = (id: string): string => `;+sip.instance="<urn:uuid:00000000-0000-1000-8000-00000000000${id}>"`;

function one(sent: readonly Sent[], what: string): Sent {
  const found = sent.filter((each) => each.text.startsWith(what));
  const [first] = found;
  if (first === undefined || found.length > 1)
    throw new Error(`one ${what}: ${sent.map((each) => each.text.split("\r\n")[0]).join(" | ")}`);
  return first;
}

/** What a replica holds, as text to compare. */
function tablesOf(world: PairWorld, cell: Cell): string {
  const { store } = world.replicas[cell].exchange;
  const { records } = store.changedSince(0, 100_000, true);
  return records
    .map((record) => JSON.stringify(record))
    .toSorted()
    .join("\n");
}

/** Bob rings, and so do others at his address-of-record; then a stands still, and the accesses go to b. */
function frozen(others: (world: PairWorld) => CallingPhone[] = () => []): { world: PairWorld; alice: CallingPhone; bob: CallingPhone } {
  const world = new PairWorld();
  const alice = new CallingPhone(world, "alice", "198.51.100.7", 5070, "UDP");
  const bob = new CallingPhone(world, "bob", "203.0.113.9", 5080, "UDP", "g2");
  const bobs = [bob, ...others(world)];
  for (const phone of [alice, ...bobs]) phone.register();
  for (const phone of bobs) phone.manner = "rings";
  alice.call("bob");
  world.advance(300);
  world.kill("a");
  world.advance(10_000);
  return { world, alice, bob };
}

const otherKey = (transport: "WS" | "TCP", port: number): string =>
  serializeFlowKey({ transport, listener: transport === "TCP" ? 1 : 0, connection: `n${port}`, address: "203.0.113.9", port });

/** An established call of a UDP phone with a softphone that has an instance. */
function established(isCaller: boolean): { world: PairWorld; desk: CallingPhone; soft: CallingPhone } {
  const world = new PairWorld();
  const desk = new CallingPhone(world, isCaller ? "bob" : "alice", "198.51.100.7", 5070, "UDP");
  const soft = new CallingPhone(world, isCaller ? "alice" : "bob", "203.0.113.9", 5080, "WS");
  desk.register();
  soft.register([`Contact: ${soft.phone.contact}${instance("1")}`]);
  if (isCaller) soft.call("bob", [`Contact: ${soft.phone.contact}${instance("1")}`]);
  else desk.call("bob");
  world.advance(3_000);
  return { world, desk, soft };
}

describe("commit before forward", () => {
  it("the 200 to a REGISTER, and its repetition, wait for the sequence number of the binding", () => {
    const world = new TestExchange();
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const register = bob.register();
    const first = one(world.receive(bob.key, register), "SIP/2.0 200");
    expect(first.commit).toBe(world.exchange.store.sequence);
    const again = one(world.receive(bob.key, register), "SIP/2.0 200");
    expect(again.commit).toBe(first.commit);
  });

  it("the 2xx to an INVITE, and its repetition, wait for the dialog and the end of the INVITE; nothing else waits", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    world.receive(bob.key, bob.register());
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    const key = [...world.exchange.store.records("invite")].map((record) => record.key)[0] ?? "";
    expect(key).not.toBe("");
    const ringing = one(world.receive(bob.key, answer(invite.message, 180, "b")), "SIP/2.0 180");
    expect([invite.commit, ringing.commit]).toEqual([undefined, undefined]);
    const ok = answer(invite.message, 200, "b", [`Contact: ${bob.contact}`]);
    const first = one(world.receive(bob.key, ok), "SIP/2.0 200");
    const { store } = world.exchange;
    expect(first.commit).toBe(store.sequence);
    expect(store.get("invite", key)?.value).toBeUndefined();
    expect(store.count("dialog")).toBe(1);
    expect(one(world.receive(bob.key, ok), "SIP/2.0 200").commit).toBe(first.commit);
  });

  it("INVITEs in progress reach the disk only while the peer is away", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    world.receive(bob.key, bob.register());
    world.exchange.store.takeDirty();
    world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test"));
    expect(world.exchange.store.takeDirty().put).toEqual([]);
    world.exchange.store.setPeerAway(true);
    expect(world.exchange.store.takeDirty().put.map((record) => record.kind)).toEqual(["invite"]);
  });
});

describe("both replicas serve", () => {
  it("[RFC3261 10.3] unregistered on one side, an old REGISTER replayed on the other brings nothing back", () => {
    const world = new PairWorld();
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const old = bob.register(600);
    const gone = bob.register(0);
    world.give("a", "g1", RecordKind.message, bob.key, old);
    world.give("b", "g1", RecordKind.message, bob.key, gone);
    world.give("a", "g1", RecordKind.message, bob.key, old.replace("z9hG4bKbob1", "z9hG4bKagain"));
    for (const cell of ["a", "b"] as const) expect(world.replicas[cell].exchange.counts(world.now).registrations).toBe(0);
  });

  it("through a cut, and have the same tables afterwards", () => {
    const world = new PairWorld();
    const alice = new CallingPhone(world, "alice", "198.51.100.7", 5070, "UDP");
    const bob = new CallingPhone(world, "bob", "203.0.113.9", 5080, "WS");
    const carol = new TestPhone("carol", "203.0.113.10", 5090);
    for (const phone of [alice, bob]) phone.register();
    world.isCut = true;
    world.give("a", "g1", RecordKind.message, carol.key, carol.register(600));
    world.advance(10);
    world.give("b", "g1", RecordKind.message, carol.key, carol.register(0));
    bob.call("alice");
    world.advance(3_000);
    world.isCut = false;
    world.link();
    world.link();
    expect(tablesOf(world, "a")).toBe(tablesOf(world, "b"));
    expect(world.replicas.a.exchange.counts(world.now)).toMatchObject({ registrations: 2, dialogs: 1 });
    alice.inDialog("BYE");
    world.advance(1_000);
    expect(alice.log.at(-1)).toBe("200 BYE");
    expect(tablesOf(world, "a")).toBe(tablesOf(world, "b"));
    expect(world.replicas.b.exchange.counts(world.now).dialogs).toBe(0);
  });

  it("a replica started again has everything, and takes the ringing calls back when the accesses come back to it", () => {
    const world = new PairWorld();
    const alice = new CallingPhone(world, "alice", "198.51.100.7", 5070, "UDP");
    const bob = new CallingPhone(world, "bob", "203.0.113.9", 5080, "TCP", "g2");
    for (const phone of [alice, bob]) phone.register();
    bob.manner = "rings";
    alice.call("bob");
    world.advance(500);
    world.kill("a");
    world.advance(500);
    world.restart("a");
    expect(tablesOf(world, "a")).toBe(tablesOf(world, "b"));
    for (const access of ["g1", "g2"]) world.give("a", access, RecordKind.takeover, "", "");
    expect(world.replicas.a.exchange.nextDeadline()).toBeDefined();
    alice.cancel();
    world.advance(40_000);
    expect([alice.log, bob.log]).toEqual([
      ["200 REGISTER", "200 CANCEL", "487 INVITE"],
      ["200 REGISTER", "INVITE", "CANCEL", "ACK"],
    ]);
    for (const cell of ["a", "b"] as const) expect(world.replicas[cell].exchange.counts(world.now).transactions).toBe(0);
  });
});

describe("a replica that was frozen", () => {
  it("drops what the other one has taken over without a word, and no timer of it fires", () => {
    const { world } = frozen();
    const a = world.replicas.a;
    const before = a.exchange.counts(a.now).transactions;
    world.dead.delete("a");
    world.link();
    expect(a.exchange.counts(a.now).transactions).toBe(before - 2);
    expect(a.advance(300_000)).toEqual([]);
    expect([a.exchange.counts(a.now).transactions, a.exchange.nextDeadline()]).toEqual([0, undefined]);
  });

  it("reads old messages, and takes nothing back: the call is answered through the other one, once", () => {
    const { world, alice, bob } = frozen();
    const a = world.replicas.a;
    const invite = one(a.sent, "INVITE");
    const oldInvite = alice.phone.request("INVITE", "sip:bob@example.test", ["CSeq: 2 INVITE"], "v=0").replace(/alice\d+/, "alice2");
    world.dead.delete("a");
    world.link();
    a.sent = [];
    world.give("a", "g1", RecordKind.message, alice.key, oldInvite);
    world.give("a", "g2", RecordKind.message, bob.key, answer(invite.message, 180, "bob-tag"));
    world.give("a", "g2", RecordKind.message, bob.key, answer(invite.message, 486, "bob-tag"));
    expect(a.sent.filter((sent) => sent.message.isRequest || sent.message.status >= 200)).toEqual([]);
    expect(world.replicas.b.exchange.counts(world.now).transactions).toBe(2);
    world.give("b", "g2", RecordKind.message, bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.phone.contact}`]));
    world.advance(5_000);
    alice.inDialog("BYE");
    world.advance(1_000);
    expect([alice.log, bob.log]).toEqual([
      ["200 REGISTER", "200 INVITE", "200 BYE"],
      ["200 REGISTER", "INVITE", "ACK", "BYE"],
    ]);
  });

  it.each(["UDP", "TCP"] as const)(
    "passes an old 200 of a phone over %s on, and the other one knows of it: no other phone rings on",
    (transport) => {
      const others: CallingPhone[] = [];
      const { world, alice, bob } = frozen((around) => {
        others.push(new CallingPhone(around, "bob", "203.0.113.10", 5090, transport, "g2"));
        return others;
      });
      const { a, b } = world.replicas;
      const [{ key, phone } = bob] = others;
      const invite = a.sent.find((sent) => sent.key === key && sent.message.method === "INVITE");
      if (invite === undefined) throw new Error("it does not ring");
      world.dead.delete("a");
      world.link();
      for (const replica of [a, b]) replica.sent = [];
      world.give("a", "g2", RecordKind.message, key, answer(invite.message, 200, "other-tag", [`Contact: ${phone.contact}`]));
      expect([...b.exchange.store.records("invite")].filter(({ value }) => value !== undefined)).toEqual([]);
      world.advance(timerCMs + 300_000);
      expect([alice.log, bob.log]).toEqual([
        ["200 REGISTER", "200 INVITE"],
        ["200 REGISTER", "INVITE", "CANCEL", "ACK"],
      ]);
      expect([...a.sent, ...b.sent].filter((sent) => sent.key === alice.key && sent.message.status >= 300)).toEqual([]);
      for (const { exchange } of [a, b]) expect(exchange.counts(world.now).transactions).toBe(0);
    },
  );

  it("says nothing more to a caller who was refused meanwhile: what a phone refuses here goes nowhere", () => {
    const { world, alice, bob } = frozen();
    const refusal = answer(one(world.replicas.a.sent, "INVITE").message, 486, "bob-tag");
    world.give("b", "g2", RecordKind.message, bob.key, refusal);
    world.dead.delete("a");
    world.link();
    world.give("a", "g2", RecordKind.message, bob.key, refusal);
    expect(world.replicas.a.sent.filter(({ key, message }) => key === alice.key && message.status >= 300)).toEqual([]);
  });

  it("takes the call that was answered meanwhile for answered: an old INVITE rings nobody", () => {
    const { world, alice, bob } = frozen();
    const a = world.replicas.a;
    const invite = one(a.sent, "INVITE");
    world.give("b", "g2", RecordKind.message, bob.key, answer(invite.message, 200, "bob-tag", [`Contact: ${bob.phone.contact}`]));
    world.dead.delete("a");
    world.link();
    a.sent = [];
    const old = alice.phone.request("INVITE", "sip:bob@example.test", ["CSeq: 2 INVITE"], "v=0").replace(/alice\d+/, "alice2");
    world.give("a", "g1", RecordKind.message, alice.key, old);
    expect(a.sent).toEqual([]);
  });
});

describe("a phone that comes back on another flow [RFC5626 4.3]", () => {
  for (const isCaller of [true, false]) {
    const part = isCaller ? "caller" : "callee";
    it(`takes its dialogs along as ${part}, to the line of another cell: requests reach it`, () => {
      const { world, desk, soft } = established(isCaller);
      soft.moveTo("a.0", otherKey("WS", 6000));
      soft.register([`Contact: ${soft.phone.contact}${instance("1")}`]);
      desk.inDialog("INVITE");
      world.advance(1_000);
      expect(desk.log.at(-1)).toBe("200 INVITE");
      desk.inDialog("BYE");
      world.advance(1_000);
      expect([desk.log.at(-1), soft.log.at(-1)]).toEqual(["200 BYE", "BYE"]);
      expect(world.replicas.a.exchange.counts(world.now).dialogs).toBe(0);
    });

    it(`as ${part}: its own requests go on, and move the dialog before it has registered`, () => {
      const { world, desk, soft } = established(isCaller);
      soft.moveTo("b.0", otherKey("WS", 6001));
      soft.inDialog("INVITE");
      world.advance(1_000);
      expect(soft.log.at(-1)).toBe("200 INVITE");
      desk.inDialog("BYE");
      world.advance(1_000);
      expect([desk.log.at(-1), soft.log.at(-1)]).toEqual(["200 BYE", "BYE"]);
    });

    it(`as ${part}: its cell is down, a request waits for nobody and goes where it is`, () => {
      const { world, desk, soft } = established(isCaller);
      world.kill("b");
      world.replicas.a.exchange.setCells(new Set(["a"]), world.now);
      soft.moveTo("a.0", otherKey("WS", 6002));
      soft.register([`Contact: ${soft.phone.contact}${instance("1")}`]);
      desk.inDialog("BYE");
      world.advance(1_000);
      expect([desk.log.at(-1), soft.log.at(-1)]).toEqual(["200 BYE", "BYE"]);
    });
  }

  it("a request that was sent into a dead connection is sent again where the phone is, and not to and fro", () => {
    const world = new TestExchange();
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    const contact = `Contact: ${bob.contact}${instance("1")}`;
    world.receive(bob.key, bob.register(600, [contact]), bob.access);
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    const ok = one(world.receive(bob.key, answer(invite.message, 200, "b", [contact]), bob.access), "SIP/2.0 200");
    const routes = ok.message.values(Header.RecordRoute).toReversed();
    const bye = alice.request("BYE", bob.contact.slice(1, -1), [
      "To: <sip:bob@example.test>;tag=b",
      ...routes.map((route) => `Route: ${route}`),
    ]);
    const first = one(world.receive(alice.key, bye), "BYE");
    expect(first.key).toBe(bob.key);
    const key = otherKey("WS", 6003);
    world.receive(key, bob.register(600, [contact]), bob.access);
    const second = one(world.record(RecordKind.undeliverable, bob.key, first.text, bob.access), "BYE");
    expect(second.key).toBe(key);
    const refused = world.record(RecordKind.undeliverable, key, second.text, bob.access);
    expect(refused).toEqual([]);
    expect(world.advance(phoneReturnMs).map((sent) => sent.message.status)).toEqual([100, 480]);
  });

  it("of another exchange is asked for there; late and empty answers count as gone", () => {
    const world = new TestExchange("open", { exchange: 1, exchangeCount: 2 });
    const users = ["alice", "bob", "carol", "dave", "erin", "frank"];
    const here = users.find((user) => world.exchange.flowsOf(`${user}@example.test`, world.now).length === 0 && isServedBy(user, 1)) ?? "";
    const there = users.find((user) => isServedBy(user, 0)) ?? "";
    const callee = new TestPhone(here, "198.51.100.7", 5070);
    const caller = new TestPhone(there, "203.0.113.9", 5080, "WS");
    world.receive(callee.key, callee.register());
    const contact = `Contact: ${caller.contact}${instance("2")}`;
    const invite = one(world.receive(caller.key, caller.request("INVITE", `sip:${here}@example.test`, [contact]), caller.access), "INVITE");
    world.receive(callee.key, answer(invite.message, 200, "b", [`Contact: ${callee.contact}`]));
    world.record(RecordKind.closed, caller.key, "", caller.access);
    const routes = invite.message.values(Header.RecordRoute).map((route) => `Route: ${route}`);
    const inDialog = (method: string): string =>
      callee.request(method, caller.contact.slice(1, -1), [
        ...routes,
        `From: <sip:${here}@example.test>;tag=b`,
        `To: <sip:${there}@example.test>;tag=${there}-tag`,
        `Call-ID: ${invite.message.callId}`,
      ]);
    const sent = one(world.receive(callee.key, inDialog("INFO")), "INFO");
    expect(world.record(RecordKind.undeliverable, caller.key, sent.text, caller.access)).toEqual([]);
    const [question] = world.flowsAsked;
    expect(question).toMatchObject({ addressOfRecord: `${there}@example.test`, exchange: 0 });
    const flow = `b.0~${otherKey("WS", 6004)}`;
    const phoneFlow = {
      contact: "sip:elsewhere",
      instanceId: "urn:uuid:00000000-0000-1000-8000-000000000002",
      flow,
      registeredAt: world.now,
    };
    world.exchange.flows(question?.reference ?? "", [phoneFlow], world.now);
    const found = one(world.drain(), "INFO");
    expect(`${found.access}~${found.key}`).toBe(flow);
    // The dialog knows it from now on.
    expect(one(world.receive(callee.key, inDialog("BYE")), "BYE").access).toBe("b.0");

    const lost = one(world.receive(callee.key, inDialog("INFO")), "INFO");
    world.record(RecordKind.undeliverable, lost.key, lost.text, lost.access);
    const late = world.flowsAsked.at(-1)?.reference ?? "";
    expect(world.advance(phoneReturnMs).map((each) => each.message.status)).toContain(480);
    world.exchange.flows(late, [phoneFlow], world.now);
    expect(world.drain()).toEqual([]);
  });

  it("a caller that lost its connection while the call was ringing gets the answer on its new one", () => {
    const world = new PairWorld();
    const alice = new CallingPhone(world, "alice", "203.0.113.9", 5080, "TCP");
    const bob = new CallingPhone(world, "bob", "198.51.100.7", 5070, "UDP", "g2");
    const contact = `Contact: ${alice.phone.contact}${instance("3")}`;
    alice.register([contact]);
    bob.register();
    alice.call("bob", [contact]);
    world.advance(500);
    for (const cell of ["a", "b"] as const) world.replicas[cell].exchange.disconnectAccess("g1", world.now);
    alice.moveTo("g2", otherKey("TCP", 6005));
    alice.register([contact]);
    world.advance(3_000);
    alice.inDialog("BYE");
    world.advance(1_000);
    expect([alice.log, bob.log]).toEqual([
      ["200 REGISTER", "200 INVITE", "200 BYE"],
      ["200 REGISTER", "INVITE", "ACK", "BYE"],
    ]);
  });
});

describe("flows and cells that are gone", () => {
  it("[RFC5626 7] two flows of one instance ring once; the second when the first one's cell is down", () => {
    const world = new TestExchange();
    world.exchange.connectAccess("b.0", [{ transport: "WS", host: "example.test", port: 80 }]);
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    const other = new TestPhone("bob", "203.0.113.9", 5081, "WS", "b.0").key;
    const outbound = (regId: number): string[] => [
      `Contact: ${bob.contact}${instance("1")};reg-id=${regId}`,
      "Supported: path, outbound",
      `Call-ID: register-${regId}`,
    ];
    const register = (regId: number): string => bob.register(600, outbound(regId)).replace(/^Call-ID: register-of-bob\r\n/m, "");
    one(world.receive(bob.key, register(1), "a.0"), "SIP/2.0 200");
    world.advance(10);
    one(world.receive(other, register(2), "b.0"), "SIP/2.0 200");
    expect(world.exchange.counts(world.now).registrations).toBe(2);
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    expect(one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE").access).toBe("b.0");
    world.exchange.setCells(new Set(["a"]), world.now);
    expect(one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE").access).toBe("a.0");
    // That this cell cannot reach the other says nothing about the phone.
    expect(world.exchange.counts(world.now).registrations).toBe(2);
    world.exchange.setCells(new Set(["a", "b"]), world.now);
    expect(one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE").access).toBe("b.0");
  });

  it("what could not be brought to its access fails the call in the end, and keeps the binding", () => {
    const world = new TestExchange();
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    world.receive(bob.key, bob.register(), bob.access);
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    world.exchange.unreachable("a.0", [{ kind: RecordKind.send, key: bob.key, octets: octetsOf(invite.text) }], world.now);
    expect(world.drain()).toEqual([]);
    expect(world.exchange.counts(world.now).registrations).toBe(1);
    expect(world.advance(phoneReturnMs).map((sent) => sent.message.status)).toEqual([480]);
  });

  it("[RFC3261 17.1.4, 18.4] what was written to a connection that closes fails at once, and waits for the phone; a ringing call stays", () => {
    const world = new TestExchange();
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "TCP");
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    world.receive(bob.key, bob.register());
    const message = one(world.receive(alice.key, alice.request("MESSAGE", "sip:bob@example.test")), "MESSAGE");
    expect(message.key).toBe(bob.key);
    const invite = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    const ringing = one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test", ["Call-ID: second"])), "INVITE");
    world.receive(bob.key, answer(ringing.message, 180, "b"));
    world.record(RecordKind.closed, bob.key, "");
    const key = otherKey("TCP", 6006);
    const again = world.receive(key, bob.register()).filter(({ message: { isRequest } }) => isRequest);
    expect(again.map((sent) => [sent.key, sent.message.text(Header.CSeq)])).toEqual([
      [key, message.message.text(Header.CSeq)],
      [key, invite.message.text(Header.CSeq)],
    ]);
    const answered = world.receive("t1.cnew.cb00710913d8", answer(ringing.message, 200, "b", [`Contact: ${bob.contact}`]));
    one(answered, "SIP/2.0 200");
  });

  it("a fenced cell answers REGISTER with 503 and Retry-After, and goes on with calls", () => {
    const world = new TestExchange();
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    world.receive(bob.key, bob.register());
    world.exchange.setFenced(true);
    const refused = one(world.receive(bob.key, bob.register()), "SIP/2.0 503");
    expect(refused.message.text(Header.RetryAfter)).toMatch(/^\d+$/);
    const alice = new TestPhone("alice", "198.51.100.7", 5070);
    one(world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test")), "INVITE");
    world.exchange.setFenced(false);
    one(world.receive(bob.key, bob.register()), "SIP/2.0 200");
  });
});

function isServedBy(user: string, exchange: number): boolean {
  const world = new TestExchange("open", { exchange, exchangeCount: 2 });
  const probe = new TestExchange("digest", { exchange, exchangeCount: 2 });
  const phone = new TestPhone(user, "198.51.100.7", 5070);
  const auth = [`Proxy-Authorization: Digest username="${user}", realm="example.test", nonce="n", uri="sip:x", response="r"`];
  probe.receive(phone.key, phone.request("INVITE", "sip:x@example.test", auth));
  return probe.asked.length === 0 && world.exchange.counts(world.now).transactions === 0;
}
