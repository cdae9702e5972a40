import { describe, expect, it } from "vitest";
import {
  orphanCancelMs,
  orphansOfStrangersMax,
  orphansPerCalleeMax,
  orphansPerSourceMax,
  orphansPerStrangerMax,
  orphansRememberedMax,
} from "../../../actors/limits.ts";
import {
  cancelAnswerMs,
  contactsPerAddressOfRecordMax,
  inviteLifetimeMs,
  phoneSilentMs,
  t1Ms,
  unprovenTargetsMax,
} from "../../../sip/limits.ts";
import type { Transport } from "../../../sip/flow/flow.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { answer, startedAt, TestExchange, TestPhone, valuesOf, type Sent } from "./harness.ts";

const uri = "sip:bob@example.test";
const route = "Route: <sip:example.test;lr>";
const proof = 'Proxy-Authorization: Digest username="alice", realm="example.test", nonce="n", uri="sip:bob@example.test", response="0"';

/** Both replicas have died: a new one has what was on the disk. */
function startedAnew(dead: TestExchange, cell = "a"): TestExchange {
  const world = new TestExchange("open", { cell });
  world.now = dead.now;
  for (const record of dead.exchange.store.takeDirty().put) world.exchange.restore(record);
  return world;
}

type Ringing = { readonly world: TestExchange; readonly alice: TestPhone; readonly invite: string; readonly heard: readonly Sent[] };

/** Alice's INVITE rings at these phones of Bob's, and then both replicas die. */
function ringing(bobs: readonly TestPhone[], from: Transport = "UDP", headers: readonly string[] = []): Ringing {
  const before = new TestExchange("open");
  const alice = new TestPhone("alice", "198.51.100.7", 5070, from);
  for (const bob of bobs) before.receive(bob.key, bob.register(), bob.access);
  const invite = alice.request("INVITE", uri, headers);
  const heard = before.receive(alice.key, invite, alice.access).filter(({ message }) => message.isRequest);
  expect(heard).toHaveLength(bobs.length);
  for (const each of heard) before.receive(each.key, answer(each.message, 180, `b${each.key}`), each.access);
  expect(before.exchange.store.count("invite")).toBe(1);
  return { world: startedAnew(before), alice, invite, heard };
}

/** What the caller of an INVITE says in the same transaction (RFC 3261 9.1, 17.1.1.3): without credentials. */
function sameTransaction(invite: string, method: string, to = `<${uri}>`): string {
  const lines = invite.split("\r\n").filter((line) => !/^(?:Proxy-Authorization|Contact|To|CSeq|INVITE)/.test(line));
  const [, number = ""] = /\r\nCSeq: (\d+)/.exec(invite) ?? [];
  return [`${method} ${uri} SIP/2.0`, `To: ${to}`, `CSeq: ${number} ${method}`, ...lines].join("\r\n");
}

function branchOf(sent: Sent | undefined): string {
  return /;branch=([^;]+)/.exec(valuesOf(sent, "Via")[0] ?? "")?.[1] ?? "";
}

const said = (sent: readonly Sent[]): string[] => sent.map(({ message }) => (message.isRequest ? message.method : String(message.status)));

describe("[RFC3261 16.10] an INVITE that rings and that no replica remembers", () => {
  it.each([
    ["UDP", "UDP", []],
    ["UDP", "TCP", []],
    ["TCP", "UDP", []],
    ["TLS", "UDP", []],
    ["WSS", "TCP", []],
    ["UDP", "UDP", [route]],
    ["UDP", "UDP", [proof]],
  ] as const)("from %s to %s %j: its caller cancels it, and hears the 487 of the phone, which hears the ACK", (from, to, headers) => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080, to);
    const { world, alice, invite, heard } = ringing([bob], from, headers);
    const [first] = heard;
    const [ok, cancel] = world.receive(alice.key, sameTransaction(invite, "CANCEL"), alice.access);
    expect(ok?.message.status).toBe(200);
    expect(cancel).toMatchObject({ access: bob.access, key: bob.key, message: { method: "CANCEL" } });
    expect(branchOf(cancel)).toBe(branchOf(first));
    expect(valuesOf(cancel, "Via")).toHaveLength(1);
    expect(cancel?.message.requestUri).toBe(first?.message.requestUri);
    expect(valuesOf(cancel, "Call-ID")).toEqual(valuesOf(first, "Call-ID"));
    if (first === undefined || cancel === undefined) throw new Error("nothing was forwarded");
    world.receive(bob.key, answer(cancel.message, 200, "b"), bob.access);
    const [ackOfOurs, refusal] = world.receive(bob.key, answer(first.message, 487, "b"), bob.access);
    expect(ackOfOurs).toMatchObject({ key: bob.key, message: { method: "ACK" } });
    expect(refusal).toMatchObject({ access: alice.access, key: alice.key, message: { status: 487 } });
    const [ack] = world.receive(alice.key, sameTransaction(invite, "ACK", `<${uri}>;tag=b`), alice.access);
    expect(ack).toMatchObject({ key: bob.key, message: { method: "ACK" } });
    expect(branchOf(ack)).toBe(branchOf(first));
    expect(ack?.text).toBe(ackOfOurs?.text);
    expect(valuesOf(ack, "Via")).toHaveLength(1);
    world.advance(64_000);
    expect(world.exchange.counts(world.now).transactions).toBe(0);
  });

  it.each(["that passed with the answer to the CANCEL", "of a phone that was never cancelled here"])(
    "[RFC3261 17.1.1.3] an ACK that its caller writes anew, by another Request-URI, reaches the phone whose refusal it is for: %s",
    (which) => {
      const bob = new TestPhone("bob", "203.0.113.9", 5080);
      const { world, alice, invite, heard } = ringing([bob]);
      const [first] = heard;
      if (first === undefined) throw new Error("nothing was forwarded");
      if (which.startsWith("that")) world.receive(alice.key, sameTransaction(invite, "CANCEL"));
      const refusal = world.receive(bob.key, answer(first.message, which.startsWith("that") ? 487 : 486, "b"));
      expect(said(refusal).filter((each) => each !== "ACK")).toHaveLength(1);
      const anew = sameTransaction(invite, "ACK", `<${uri}>;tag=b`).replace(uri, `${uri};user=phone`);
      expect(world.receive(alice.key, anew)).toMatchObject([{ key: bob.key, message: { method: "ACK" } }]);
      // Of another call nobody has refused anything.
      expect(world.receive(alice.key, anew.replace("call-of-alice", "call-of-another"))).toEqual([]);
    },
  );

  it("all phones of the called user are cancelled, over UDP until they say that they have heard it", () => {
    const bobs = [1, 2, 3].map((index) => new TestPhone("bob", `203.0.113.${index}`, 5080));
    const { world, alice, invite } = ringing(bobs);
    const sent = world.receive(alice.key, sameTransaction(invite, "CANCEL"));
    expect(said(sent)).toEqual(["200", "CANCEL", "CANCEL", "CANCEL"]);
    expect(said(world.advance(500))).toEqual(["CANCEL", "CANCEL", "CANCEL"]);
  });

  it("a softphone whose connection has died with its cell is cancelled when it is back", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    const { world, alice, invite, heard } = ringing([bob]);
    const [, lost] = world.receive(alice.key, sameTransaction(invite, "CANCEL"));
    expect(lost?.key).toBe(bob.key);
    world.record(RecordKind.undeliverable, bob.key, lost?.text ?? "", bob.access);
    world.advance(2_000);
    const back = new TestPhone("bob", "203.0.113.9", 5081, "WS");
    back.register(); // its CSeq goes on
    const cancels = world.receive(back.key, back.register(), back.access).filter(({ message }) => message.method === "CANCEL");
    expect(cancels.map(({ key }) => key)).toEqual([back.key]);
    expect(branchOf(cancels[0])).toBe(branchOf(heard[0]));
  });

  it("one that has come again while its softphone was away is cancelled there as well when that is back; its last words stay here", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    const { world, alice, invite, heard } = ringing([bob]);
    const [lost] = world.receive(alice.key, invite).filter(({ message }) => message.method === "INVITE");
    world.record(RecordKind.undeliverable, bob.key, lost?.text ?? "", bob.access);
    expect(said(world.receive(alice.key, sameTransaction(invite, "CANCEL")))).toEqual(["200", "487"]);
    const back = new TestPhone("bob", "203.0.113.9", 5081, "WS");
    back.register(); // its CSeq goes on
    const sent = world.receive(back.key, back.register(), back.access);
    const [cancel] = sent.filter(({ message }) => message.method === "CANCEL");
    const [first] = heard;
    expect([cancel?.key, branchOf(cancel)]).toEqual([back.key, branchOf(first)]);
    if (first === undefined) throw new Error("nothing was forwarded");
    expect(said(world.receive(back.key, answer(first.message, 487, "b"), back.access))).toEqual(["ACK"]);
  });

  it("a caller who has come back on another connection hears the 487 there", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, invite, heard } = ringing([bob], "TCP");
    const back = new TestPhone("alice", "198.51.100.7", 6070, "TCP");
    world.receive(back.key, sameTransaction(invite, "CANCEL"));
    const [first] = heard;
    if (first === undefined) throw new Error("nothing was forwarded");
    expect(world.receive(bob.key, answer(first.message, 487, "b"))).toMatchObject([
      { key: bob.key, message: { method: "ACK" } },
      { key: back.key, message: { status: 487 } },
    ]);
  });

  it("no more than orphansRememberedMax: of the oldest the last word goes where its INVITE came from", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, invite, heard } = ringing([bob], "TCP");
    const back = new TestPhone("alice", "198.51.100.7", 6070, "TCP");
    const cancel = sameTransaction(invite, "CANCEL");
    const [first] = heard;
    if (first === undefined) throw new Error("nothing was forwarded");
    const lastWord = (): Sent[] => world.receive(bob.key, answer(first.message, 487, "b")).filter(({ message }) => !message.isRequest);
    world.receive(back.key, cancel);
    // Of many sources, each of which has as many as it may.
    const flood = (from: number, to: number): void => {
      for (let index = from; index < to; index += 1) {
        const other = new TestPhone("alice", `192.0.3.${Math.floor(index / orphansPerSourceMax)}`, 6070, "TCP");
        world.receive(other.key, cancel.replace("Call-ID: ", `Call-ID: ${index}-`).replace("z9hG4bK", `z9hG4bK${index}-`));
      }
    };
    flood(1, orphansRememberedMax);
    expect(lastWord().map(({ key }) => key)).toEqual([back.key]);
    // Those of before do not count any more, but are remembered.
    world.advance(orphanCancelMs);
    flood(orphansRememberedMax, orphansRememberedMax + 1);
    expect(lastWord().map(({ key }) => key)).toEqual([alice.key]);
  });

  it("no more than orphansRememberedMax CANCELs without an INVITE: a copy of the oldest goes on", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, invite } = ringing([bob], "TCP");
    const cancel = sameTransaction(invite, "CANCEL");
    world.receive(alice.key, cancel);
    const others = Array.from({ length: orphansRememberedMax }, (_, index) => {
      const { key } = new TestPhone("alice", `192.0.3.${Math.floor(index / orphansPerSourceMax)}`, 6070, "TCP");
      return { key, text: cancel.replace("Call-ID: ", `Call-ID: ${index}-`).replace("z9hG4bK", `z9hG4bK${index}-`) };
    });
    const last = others.pop();
    for (const { key, text } of others) world.receive(key, text);
    expect(said(world.receive(alice.key, invite))).toEqual(["487"]);
    world.advance(orphanCancelMs);
    world.receive(last?.key ?? "", last?.text ?? "");
    expect(said(world.receive(alice.key, invite))).toEqual(["100", "INVITE"]);
  });

  it("is answered all the same, its dialog is known, and the user's other phones stop ringing", () => {
    const bobs = [1, 2].map((index) => new TestPhone("bob", `203.0.113.${index}`, 5080));
    const { world, alice, heard } = ringing(bobs);
    const [first, second] = heard;
    if (first === undefined) throw new Error("nothing was forwarded");
    const sent = world.receive(first.key, answer(first.message, 200, "b", [`Contact: <sip:bob@${first.key}.invalid>`]));
    expect(sent.map(({ key, message }) => `${message.isRequest ? message.method : message.status} ${key}`)).toEqual([
      `CANCEL ${second?.key}`,
      `200 ${alice.key}`,
    ]);
    expect(branchOf(sent[0])).toBe(branchOf(second));
    expect(world.exchange.counts(world.now).dialogs).toBe(1);
    // Said again, it cancels nothing more.
    expect(said(world.receive(first.key, answer(first.message, 200, "b", [`Contact: <sip:bob@${first.key}.invalid>`])))).toEqual(["200"]);
  });

  it("a CANCEL for another call has another branch, whatever of it differs: nobody's call but its own ends by it", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, invite, heard } = ringing([bob]);
    const cancel = sameTransaction(invite, "CANCEL");
    const others = [
      cancel.replace(/Call-ID: /, "Call-ID: x"),
      cancel.replace(/;tag=alice-tag/, ";tag=other"),
      cancel.replace(/CSeq: \d+/, "CSeq: 99"),
      cancel.replace("\r\n", "\r\nRoute: <sip:192.0.2.1;lr>\r\n"),
    ];
    for (const [index, other] of others.entries()) {
      const sent = world.receive(alice.key, other.replace("branch=z9hG4bK", `branch=z9hG4bKother${index}`));
      const [, forwarded] = sent;
      expect(forwarded?.message.method).toBe("CANCEL");
      expect(branchOf(forwarded)).not.toBe(branchOf(heard[0]));
    }
  });

  it("[RFC3261 9.2] 481: for a user without phones, to the outside, and when nothing of before can ring any more", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, invite } = ringing([bob]);
    const cancel = sameTransaction(invite, "CANCEL");
    expect(said(world.receive(alice.key, cancel.replaceAll("bob@example.test", "carol@example.test")))).toEqual(["481"]);
    expect(said(world.receive(alice.key, cancel.replaceAll("bob@example.test", "bob@192.0.2.77").replace("z9hG4bK", "z9hG4bKo")))).toEqual([
      "481",
    ]);
    world.advance(inviteLifetimeMs);
    expect(said(world.receive(alice.key, cancel.replace("z9hG4bK", "z9hG4bKl")))).toEqual(["481"]);
  });
});

/** What a stranger's CANCEL of nothing brings. */
const saidTo = (world: TestExchange): string[] => said(world.receive(keyOf(1), lie("192.0.0.1", "bob", 1)));

describe("an exchange that wakes", () => {
  const halfHour = 1_800_000;

  /** Bob's phone is on the disk; undefined: a start. */
  function woken(orphansUntil?: number): TestExchange {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const before = new TestExchange("open");
    before.receive(bob.key, bob.register(2 * 3_600));
    const world = new TestExchange("open", { now: before.now + halfHour, ...(orphansUntil === undefined ? {} : { orphansUntil }) });
    for (const record of before.exchange.store.takeDirty().put) world.exchange.restore(record);
    return world;
  }

  it("has lost no INVITE by sleeping: the window is that of its start, and 481 after it", () => {
    expect(saidTo(woken())).toEqual(["200", "CANCEL"]);
    expect(saidTo(woken(startedAt + inviteLifetimeMs))).toEqual(["481"]);
    expect(saidTo(woken(startedAt + halfHour + 1))).toEqual(["200", "CANCEL"]);
    expect(saidTo(woken(startedAt + halfHour))).toEqual(["481"]);
  });

  it("may have lost one when the other replica ends then: a takeover opens the window, and the next sleep does not close it", () => {
    const world = woken(startedAt);
    world.exchange.takeOver(undefined, world.now);
    world.drain();
    expect(world.exchange.orphansUntil).toBe(world.now + inviteLifetimeMs);
    expect(saidTo(world)).toEqual(["200", "CANCEL"]);
  });

  it("knows when it was at rest: not while a phone rings", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const alice = new TestPhone("alice", "198.51.100.7", 5070, "TCP");
    const world = new TestExchange("open");
    world.receive(bob.key, bob.register());
    const [heard] = world.receive(alice.key, alice.request("INVITE", uri)).filter(({ message }) => message.method === "INVITE");
    if (heard === undefined) throw new Error("nothing was forwarded");
    world.receive(bob.key, answer(heard.message, 180, "b"));
    world.advance(120_000);
    expect(world.exchange.nextDeadline()).toBeDefined();
  });
});

/** Somebody who has heard of no INVITE, and says that it is over; a source, a callee and a call of its own for each. */
function lie(source: string, callee: string, n: number, method = "CANCEL"): string {
  return (
    `${method} sip:${callee}@example.test SIP/2.0\r\nVia: SIP/2.0/UDP ${source}:5060;branch=z9hG4bKlie${n}\r\nMax-Forwards: 70\r\n` +
    `From: <sip:eve@outside.test>;tag=e\r\nTo: <sip:${callee}@example.test>${method === "ACK" ? ";tag=b" : ""}\r\nCall-ID: lie${n}\r\nCSeq: 1 ${method}\r\nContent-Length: 0\r\n\r\n`
  );
}

const userOf = (n: number): string => `user${n}`;
const keyOf = (n: number): string => new TestPhone("eve", `192.${n >> 16}.${(n >> 8) & 255}.${n & 255}`, 5060).key;

/** Users of a disk that has been read, each with so many phones; `where`: their Contacts, if not where they are. */
function withUsers(users: readonly string[], phones: number, where?: (index: number) => string): TestExchange {
  const before = new TestExchange("open");
  for (const user of users) {
    for (let index = 0; index < phones; index += 1) {
      const phone = new TestPhone(user, `203.0.113.${index + 1}`, 5080);
      const contact = where === undefined ? [] : [`Contact: <sip:${user}@${where(index)}>`];
      before.receive(
        phone.key,
        phone.register(600, [`Call-ID: ${user}${index}`, ...contact]).replace(`Call-ID: register-of-${user}\r\n`, ""),
      );
    }
    expect(before.exchange.registrations(`${user}@example.test`, before.now)).toHaveLength(phones);
  }
  return startedAnew(before);
}

const cancelsIn = (sent: readonly Sent[]): Sent[] => sent.filter(({ message }) => message.method === "CANCEL");

describe("a stranger who cancels or acknowledges what there never was", () => {
  it("one CANCEL is said four times at most to each phone, in all 48 for one", () => {
    const world = withUsers(["bob"], contactsPerAddressOfRecordMax);
    const sent = [...world.receive(keyOf(1), lie("192.0.0.1", "bob", 1)), ...world.advance(inviteLifetimeMs)];
    expect(cancelsIn(sent)).toHaveLength(4 * contactsPerAddressOfRecordMax);
    expect(world.exchange.counts(world.now).transactions).toBe(0);
  });

  it("once, and to few, where nobody has asked for anything", () => {
    const world = withUsers(["bob"], contactsPerAddressOfRecordMax, (index) => `192.0.2.99:${6000 + index}`);
    const text = lie("192.0.0.1", "bob", 1);
    const sent = cancelsIn([...world.receive(keyOf(1), text), ...world.advance(inviteLifetimeMs)]);
    expect(sent).toHaveLength(unprovenTargetsMax);
    expect(sent.reduce((sum, each) => sum + each.text.length, 0)).toBeLessThan(2 * unprovenTargetsMax * text.length);
  });

  it("an ACK goes to nobody who has not refused anything", () => {
    const world = withUsers(["bob"], contactsPerAddressOfRecordMax);
    for (let n = 0; n < 100; n += 1) expect(world.receive(keyOf(n), lie("192.0.0.1", "bob", n, "ACK"))).toEqual([]);
    expect(world.advance(inviteLifetimeMs)).toEqual([]);
  });

  it.each([
    ["one source, for all callees", orphansPerStrangerMax, (): number => 1, userOf],
    ["one callee, of all sources", orphansPerCalleeMax, (n: number): number => n, (): string => userOf(0)],
    ["all sources, for all callees", orphansOfStrangersMax, (n: number): number => n, userOf],
  ])("%s: %i at once, and 481 for what is more", (_what, max, sourceOf, calleeOf) => {
    const users = Array.from({ length: orphansOfStrangersMax + 5 }, (_, n) => userOf(n));
    const world = withUsers(users, 1);
    const statuses = (from: number, to: number): number[] =>
      Array.from({ length: to - from }, (_, index) => {
        const n = from + index;
        return world.receive(keyOf(sourceOf(n)), lie("192.0.0.1", calleeOf(n % users.length), n))[0]?.message.status ?? 0;
      });
    expect(statuses(0, max + 5)).toEqual([...Array.from({ length: max }, () => 200), 481, 481, 481, 481, 481]);
    world.advance(orphanCancelMs);
    expect(statuses(1_000, 1_001)).toEqual([200]);
  });

  it("takes no place from who is known: a connection, or a phone that is registered", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    for (const isRegistered of [true, false]) {
      const before = new TestExchange("open");
      const alice = new TestPhone("alice", "198.51.100.7", 5070, isRegistered ? "UDP" : "TCP");
      before.receive(bob.key, bob.register());
      if (isRegistered) before.receive(alice.key, alice.register());
      const invite = alice.request("INVITE", uri);
      before.receive(alice.key, invite);
      const world = startedAnew(before);
      for (let n = 0; n < 2 * orphansOfStrangersMax; n += 1) world.receive(keyOf(n), lie("192.0.0.1", "bob", n));
      expect(said(world.receive(alice.key, sameTransaction(invite, "CANCEL")))).toEqual(["200", "CANCEL"]);
    }
  });

  it("what a phone has said 487 to counts no more: a stranger may end as many true calls as he has", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const before = new TestExchange("open");
    const carrier = new TestPhone("carrier", "198.51.100.7", 5070);
    before.receive(bob.key, bob.register());
    const calls = Array.from({ length: orphansPerCalleeMax + 10 }, (_, n) => {
      const invite = carrier.request("INVITE", uri, ["From: <sip:c@outside.test>;tag=c", `Call-ID: call${n}`]);
      return { invite, heard: before.receive(carrier.key, invite).find(({ message }) => message.method === "INVITE") };
    });
    const world = startedAnew(before);
    for (const { invite, heard } of calls) {
      expect(said(world.receive(carrier.key, sameTransaction(invite, "CANCEL")))).toEqual(["200", "CANCEL"]);
      if (heard === undefined) throw new Error("nothing was forwarded");
      expect(said(world.receive(bob.key, answer(heard.message, 487, "b")))).toEqual(["ACK", "487"]);
    }
  });
});

/** The same phone, on a new connection where it had one. */
function reconnected(phone: TestPhone, transport: Transport): TestPhone {
  const again = transport === "UDP" ? phone : new TestPhone(phone.user, "203.0.113.77", 6080, transport);
  return Object.assign(again, { contact: phone.contact, via: phone.via });
}

/** It registers again, as the phone that it was. */
function returned(world: TestExchange, phone: TestPhone, transport: Transport): TestPhone {
  const again = reconnected(phone, transport);
  const headers = [`To: <sip:${phone.user}@example.test>`, "Expires: 600", `Call-ID: register-of-${phone.user}`, "CSeq: 99 REGISTER"];
  world.receive(again.key, again.request("REGISTER", "sip:example.test", headers), again.access);
  return again;
}

/** One replica tells the other one what it has. */
function tell(from: TestExchange, to: TestExchange): void {
  for (const record of from.exchange.store.changedSince(0, 1_000).records) to.exchange.applyFromPeer(record, to.now);
  to.drain();
}

const statusesTo = (sent: readonly Sent[], phone: TestPhone): number[] => {
  return sent.filter(({ key, message }) => key === phone.key && !message.isRequest).map(({ message }) => message.status);
};
const cancelsOf = (sent: readonly Sent[]): string[] =>
  sent.filter(({ message }) => message.method === "CANCEL").map((each) => `${each.key} ${branchOf(each)}`);

describe("[RFC3261 16.10] an INVITE that rings, no replica remembers, and its caller says again", () => {
  // What the phone says to the copy has the Vias of the first one, and goes where those lead.
  const transports: readonly Transport[] = ["UDP", "TCP", "TLS", "WS", "WSS"];

  it.each(transports)("over %s: is cancelled where it rings, though what the phone says to the copy goes another way", (transport) => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080, transport);
    const { world, alice, invite, heard } = ringing([bob], transport);
    const [first] = heard;
    const again = returned(world, bob, transport);
    const caller = reconnected(alice, transport);
    const [copy] = world.receive(caller.key, invite, caller.access).filter(({ message }) => message.method === "INVITE");
    expect([copy?.key, branchOf(copy)]).toEqual([again.key, branchOf(first)]);
    const sent = world.receive(caller.key, sameTransaction(invite, "CANCEL"), caller.access);
    expect(statusesTo(sent, caller)).toEqual([200]);
    expect(cancelsOf(sent)).toEqual([]);
    expect(cancelsOf(world.advance(phoneSilentMs))).toEqual([`${again.key} ${branchOf(first)}`]);
    expect(statusesTo(world.advance(cancelAnswerMs), caller)).toEqual([487]);
  });

  it.each(transports)("over %s: is not cancelled before it is heard of, nor twice, when the phone answers the copy", (transport) => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080, transport);
    const { world, alice, invite } = ringing([bob], transport);
    const again = returned(world, bob, transport);
    const caller = reconnected(alice, transport);
    const [copy] = world.receive(caller.key, invite, caller.access).filter(({ message }) => message.method === "INVITE");
    if (copy === undefined) throw new Error("nothing was forwarded");
    expect(cancelsOf(world.receive(caller.key, sameTransaction(invite, "CANCEL"), caller.access))).toEqual([]);
    const cancels = world
      .receive(again.key, answer(copy.message, 180, "b"), again.access)
      .filter(({ message }) => message.method === "CANCEL");
    const [cancel] = cancels;
    if (cancel === undefined) throw new Error("not cancelled");
    world.receive(again.key, answer(cancel.message, 200, "b"), again.access);
    expect(statusesTo(world.receive(again.key, answer(copy.message, 487, "b"), again.access), caller)).toEqual([487]);
    expect(cancelsOf(world.advance(10_000))).toEqual([]);
  });

  it("a softphone that comes back while its dead connection is not known to be dead is cancelled all the same", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    const { world, alice, invite, heard } = ringing([bob]);
    const [lost] = world.receive(alice.key, invite).filter(({ message }) => message.method === "INVITE");
    expect(statusesTo(world.receive(alice.key, sameTransaction(invite, "CANCEL")), alice)).toEqual([200]);
    const again = returned(world, bob, "WS");
    expect(statusesTo(world.record(RecordKind.undeliverable, bob.key, lost?.text ?? "", bob.access), alice)).toEqual([487]);
    expect(cancelsOf(world.advance(phoneSilentMs))).toEqual([`${again.key} ${branchOf(heard[0])}`]);
  });

  it("is refused when its CANCEL has come first", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, invite } = ringing([bob], "TCP");
    world.receive(alice.key, sameTransaction(invite, "CANCEL"));
    for (let copy = 0; copy < 2; copy += 1) expect(said(world.receive(alice.key, invite))).toEqual(["487"]);
    const other = invite.replace("branch=z9hG4bK", "branch=z9hG4bKother").replace("Call-ID: ", "Call-ID: other-");
    expect(said(world.receive(alice.key, other))).toEqual(["100", "INVITE"]);
  });

  it("is not refused for a CANCEL of somebody else, who has guessed its branch", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, invite } = ringing([bob], "TCP");
    const eve = new TestPhone("eve", "198.51.100.66", 5060);
    const cancel = sameTransaction(invite, "CANCEL");
    // By another source; from the same address (an office), but of another call; by another party of the same call.
    const lies: readonly (readonly [TestPhone, string])[] = [
      [eve, cancel],
      [new TestPhone("eve", "198.51.100.7", 6060), cancel.replace(/Call-ID: /, "Call-ID: x")],
      [new TestPhone("eve", "198.51.100.7", 6061), cancel.replace(/;tag=alice-tag/, ";tag=other")],
      [eve, cancel.replace(/Call-ID: /, "Call-ID: y").replace(/;tag=alice-tag/, ";tag=other")],
    ];
    for (const [from, text] of lies) world.receive(from.key, text, from.access);
    expect(said(world.receive(alice.key, invite))).toEqual(["100", "INVITE"]);
  });

  it("and rings on when somebody else cancels it under its branch", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, invite } = ringing([bob], "TCP");
    const [copy] = world.receive(alice.key, invite).filter(({ message }) => message.method === "INVITE");
    if (copy === undefined) throw new Error("nothing was forwarded");
    world.receive(bob.key, answer(copy.message, 180, "b"));
    const eve = new TestPhone("eve", "198.51.100.66", 5060);
    const changes = [
      (text: string) => text.replace(/Call-ID: /, "Call-ID: x"),
      (text: string) => text.replace(/;tag=alice-tag/, ";tag=other"),
    ];
    for (const change of changes) {
      world.receive(eve.key, change(sameTransaction(invite, "CANCEL")));
      const sent = world.advance(40_000);
      expect(statusesTo(sent, alice)).toEqual([]);
      expect(cancelsOf(sent)).not.toContain(`${bob.key} ${branchOf(copy)}`);
    }
    expect(statusesTo(world.receive(alice.key, sameTransaction(invite, "CANCEL")), alice)).toEqual([200]);
  });

  it("is refused for its CANCEL, though somebody else has sent one under its branch before or after", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    for (const isFirst of [true, false]) {
      const { world, alice, invite } = ringing([bob], "TCP");
      const eve = new TestPhone("eve", "198.51.100.66", 5060);
      const guess = sameTransaction(invite, "CANCEL").replace(/Call-ID: /, "Call-ID: x");
      const cancels: (readonly [TestPhone, string])[] = [
        [eve, guess],
        [alice, sameTransaction(invite, "CANCEL")],
      ];
      for (const [from, text] of isFirst ? cancels : cancels.toReversed()) {
        world.receive(from.key, text, from.access);
        // The CANCEL before it has been answered long enough.
        world.advance(33_000);
      }
      expect(said(world.receive(alice.key, invite))).toEqual(["487"]);
    }
  });

  it("inviteLifetimeMs: an INVITE after the window is another call, whatever was cancelled in it", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, invite } = ringing([bob], "TCP");
    world.advance(inviteLifetimeMs - 1_000);
    world.receive(alice.key, sameTransaction(invite, "CANCEL"));
    world.advance(1_000);
    expect(said(world.receive(alice.key, invite))).toEqual(["100", "INVITE"]);
  });

  it("the other replica's goes on, when who has cancelled it here is somebody else", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, invite } = ringing([bob], "TCP");
    const other = startedAnew(world, "b");
    for (const record of world.exchange.store.records("binding")) other.exchange.restore(record);
    const eve = new TestPhone("eve", "198.51.100.66", 5060);
    other.receive(eve.key, sameTransaction(invite, "CANCEL").replace(/Call-ID: /, "Call-ID: x"));
    world.receive(alice.key, invite);
    tell(world, other);
    other.advance(cancelAnswerMs);
    expect(statusesTo(other.sent, alice)).toEqual([]);
  });

  it("is over when the other replica has it in hand, and this one has answered the CANCEL before it knew of that", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, invite } = ringing([bob], "TCP");
    const other = startedAnew(world, "b");
    for (const record of world.exchange.store.records("binding")) other.exchange.restore(record);
    world.receive(alice.key, invite);
    expect(said(other.receive(alice.key, sameTransaction(invite, "CANCEL")))).toEqual(["200", "CANCEL"]);
    for (const record of world.exchange.store.changedSince(0, 1_000).records) other.exchange.applyFromPeer(record, other.now);
    other.drain();
    other.advance(cancelAnswerMs);
    expect(statusesTo(other.sent, alice)).toEqual([200, 487]);
    for (const record of other.exchange.store.changedSince(0, 1_000).records) world.exchange.applyFromPeer(record, world.now);
    world.advance(10_000);
    expect(statusesTo(world.sent, alice)).toEqual([100]);
  });

  it("is over when the other replica goes on with it, and does not know that this one has taken it up for the CANCEL", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    const { world, alice, invite } = ringing([bob], "TCP");
    const other = startedAnew(world, "b");
    for (const record of world.exchange.store.records("binding")) other.exchange.restore(record);
    const [lost] = world.receive(alice.key, invite).filter(({ message }) => message.method === "INVITE");
    tell(world, other);
    other.receive(alice.key, sameTransaction(invite, "CANCEL"));
    world.advance(1);
    world.record(RecordKind.undeliverable, bob.key, lost?.text ?? "", bob.access);
    tell(world, other);
    tell(other, world);
    other.advance(cancelAnswerMs);
    expect(statusesTo(other.sent, alice)).toEqual([200, 487]);
    world.advance(10_000);
    expect(statusesTo(world.sent, alice)).toEqual([100]);
  });

  it("[RFC3261 9.1] a CANCEL that has overtaken the INVITE ends nothing: the phone is cancelled when it rings", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, invite } = ringing([bob]);
    const [copy] = world.receive(alice.key, invite).filter(({ message }) => message.method === "INVITE");
    world.receive(alice.key, sameTransaction(invite, "CANCEL"));
    const [early] = world.advance(phoneSilentMs).filter(({ message }) => message.method === "CANCEL");
    if (copy === undefined || early === undefined) throw new Error("nothing was forwarded");
    world.receive(bob.key, answer(early.message, 481, "b"));
    expect(cancelsOf(world.receive(bob.key, answer(copy.message, 180, "b")))).toEqual([`${bob.key} ${branchOf(copy)}`]);
    expect(cancelsOf(world.advance(t1Ms))).toEqual([`${bob.key} ${branchOf(copy)}`]);
  });
});

describe("[RFC3261 18.2.2] what a phone says to an INVITE that no replica remembers", () => {
  it.each(["TCP", "TLS", "WS", "WSS"] as const)(
    "over %s finds its caller on the connection that took the place of the dead one",
    (transport) => {
      const bob = new TestPhone("bob", "203.0.113.9", 5080);
      for (const isBackFirst of [true, false]) {
        for (const status of [180, 487]) {
          const { world, alice, heard } = ringing([bob], transport);
          const [first] = heard;
          if (first === undefined) throw new Error("nothing was forwarded");
          // The replica that the phone reaches knows the caller by its registration alone.
          const before = new TestExchange("open", { now: world.now });
          before.receive(alice.key, alice.register(), alice.access);
          for (const record of before.exchange.store.takeDirty().put) world.exchange.restore(record);
          if (isBackFirst) returned(world, alice, transport);
          const caller = reconnected(alice, transport);
          const [lost] = world.receive(bob.key, answer(first.message, status, "b")).filter(({ message }) => !message.isRequest);
          expect([lost?.key, lost?.message.status]).toEqual([alice.key, status]);
          const sent = world.sent.length;
          world.record(RecordKind.undeliverable, alice.key, lost?.text ?? "", alice.access);
          if (!isBackFirst) returned(world, alice, transport);
          world.advance(0);
          expect(statusesTo(world.sent.slice(sent), caller)).toContain(status);
        }
      }
    },
  );

  it("is not late, though a copy of that INVITE has not reached it and has ended", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080, "WS");
    const { world, alice, invite, heard } = ringing([bob]);
    const [first] = heard;
    const [lost] = world.receive(alice.key, invite).filter(({ message }) => message.method === "INVITE");
    world.record(RecordKind.undeliverable, bob.key, lost?.text ?? "", bob.access);
    if (first === undefined) throw new Error("nothing was forwarded");
    const again = reconnected(bob, "WS"); // its answers come before its REGISTER
    for (const status of [180, 486]) {
      expect(statusesTo(world.receive(again.key, answer(first.message, status, "b"), again.access), alice)).toEqual([status]);
    }
  });

  it("goes to nobody else, whom its From may name and however lately that one has registered", () => {
    const bob = new TestPhone("bob", "203.0.113.9", 5080);
    const { world, alice, heard } = ringing([bob], "WS");
    const [first] = heard;
    if (first === undefined) throw new Error("nothing was forwarded");
    const carol = new TestPhone("carol", "203.0.113.50", 5050, "WS");
    const other = new TestPhone("alice", "203.0.113.51", 5051, "WS");
    for (const each of [carol, other]) world.receive(each.key, each.register(), each.access);
    for (const from of ["alice", "carol"]) {
      const text = answer(first.message, 487, "b").replace("From: <sip:alice@", `From: <sip:${from}@`);
      const [lost] = world.receive(bob.key, text).filter(({ message }) => !message.isRequest);
      world.record(RecordKind.undeliverable, alice.key, lost?.text ?? "", alice.access);
      world.advance(10_000);
    }
    expect(world.sent.filter(({ key, message }) => (key === carol.key || key === other.key) && message.status !== 200)).toEqual([]);
  });
});
