import { describe, expect, it } from "vitest";
import {
  contactOctetsMax,
  dialogLifetimeMs,
  dialogOctetsFactor,
  dialogOctetsMax,
  dialogOctetsOfStrangersMax,
  dialogOctetsPerCalleeMax,
  dialogOctetsPerSourceMax,
  instanceIdOctetsMax,
  strangersSilentMs,
} from "../../../sip/limits.ts";
import type { DialogShares } from "../../../sip/record/dialog-shares.ts";
import { DialogCall, one, told } from "./dialog-call.ts";
import { answer, TestExchange, TestPhone } from "./harness.ts";

/** Calls that a phone answers by itself, whoever calls: what stands of them, and what becomes of those who call meanwhile. */
const long = `;x=${"c".repeat(900)}`;
const below = Array.from({ length: 20 }, (_, n) => `<sip:p${n}.${"r".repeat(150)}.net;lr>`);
/** What one of these takes, at least and at most. */
const octetsMin = 2 * 900 + 20 * 150;
const octetsMax = 8_000;

function registered(world: TestExchange, user: string, number: number): TestPhone {
  const phone = new TestPhone(user, `203.0.113.${number}`, 5060);
  expect(told(world.receive(phone.key, phone.register()))).toEqual([`${phone.key} 200`]);
  return phone;
}

function sharesOf(world: TestExchange): DialogShares {
  return world.exchange.store.dialogShares;
}

/** Our routes, as they are left when the proxies of the caller have taken theirs off. */
function routesOf(call: DialogCall): string[] {
  return call.recorded.filter((value) => !below.includes(value)).toReversed();
}

/** A stranger calls, is answered, and acknowledges it. Undefined: he is refused, and told when to come again. */
function establish(world: TestExchange, callee: TestPhone, address: string, callId: string): DialogCall | undefined {
  const stranger = new TestPhone(`q-${callId}`, address, 5060);
  const options = { uri: `sip:${callee.user}@example.test`, callId, below, from: "From: <sip:q@elsewhere.test>;tag=caller-tag" };
  const before = world.sent.length;
  const headers = [`Contact: <sip:q@${address}${long}>`];
  let call: DialogCall;
  try {
    call = new DialogCall(world, stranger, callee, { ...options, headers });
  } catch (error) {
    if (/^SIP\/2\.0 503 [^]*\r\nRetry-After: 5\r\n/.test(world.sent.at(before)?.text ?? "")) return undefined;
    throw error;
  }
  const contact = `Contact: <sip:${callee.user}@203.0.113.1${long}>`;
  one(world.receive(callee.key, answer(call.invite.message, 200, "callee-tag", [contact])), "SIP/2.0 200");
  expect(told(call.send(world, "ACK", "caller", { routes: routesOf(call) }))).toEqual([`${callee.key} ACK`]);
  return call;
}

/** Until one is refused. */
function flood(world: TestExchange, callee: TestPhone, addressOf: (n: number) => string, name = callee.user): DialogCall[] {
  const calls: DialogCall[] = [];
  for (let n = 0; n < 20_000; n += 1) {
    const call = establish(world, callee, addressOf(n), `${name}-${n}`);
    if (call === undefined) return calls;
    calls.push(call);
    // What was said in a transaction is forgotten meanwhile.
    if (n % 100 === 99) world.advance(40_000);
  }
  throw new Error("nobody was refused");
}

function hangUp(world: TestExchange, call: DialogCall): void {
  const bye = one(call.send(world, "BYE", "caller", { routes: routesOf(call) }), "BYE");
  one(world.receive(call.callee.key, answer(bye.message, 200, "x")), "SIP/2.0 200");
}

/** A subscriber calls, and both hang on. */
function callOfOurs(world: TestExchange, callee: TestPhone, callId: string): DialogCall {
  const alice = new TestPhone(`alice-${callId}`, "192.0.2.77", 5060);
  const call = new DialogCall(world, alice, callee, { callId, uri: `sip:${callee.user}@example.test` });
  one(call.answer(world, 200), "SIP/2.0 200");
  expect(told(call.send(world, "ACK", "caller"))).toEqual([`${callee.key} ACK`]);
  return call;
}

function everywhere(n: number): string {
  return `198.51.100.${n % 250}`;
}

describe("answered calls of strangers", () => {
  it("[RFC3261 21.5.4] with one callee have a share, from however many addresses; it is given back when they end", () => {
    const world = new TestExchange();
    const door = registered(world, "door", 1);
    const bob = registered(world, "bob", 2);
    const standing = callOfOurs(world, door, "before");
    const calls = flood(world, door, everywhere);
    expect(calls.length).toBeLessThanOrEqual(dialogOctetsPerCalleeMax / octetsMin + 1);
    expect(calls.length).toBeGreaterThan(dialogOctetsPerCalleeMax / octetsMax);
    // Others are called, and ours call whom they want; what stands goes on.
    expect(establish(world, bob, everywhere(1), "to-another")).toBeDefined();
    callOfOurs(world, door, "ours");
    expect(told(standing.send(world, "INFO", "caller"))).toContain(`${door.key} INFO`);
    expect(told(standing.send(world, "INFO", "callee"))).toContain(`${standing.caller.key} INFO`);

    for (const call of calls) hangUp(world, call);
    expect(sharesOf(world).counts).toMatchObject({ callees: { "bob@example.test": expect.any(Number) as number } });
    expect(establish(world, door, everywhere(1), "again")).toBeDefined();
    world.advance(60_000);
    world.exchange.sweep(world.now);
    expect(world.exchange.store.count("dialog")).toBe(4);
  });

  it("of one source have a share, with however many callees: other strangers call on", () => {
    const world = new TestExchange();
    const doors = Array.from({ length: 8 }, (_, n) => registered(world, `door${n}`, n + 1));
    let count = 0;
    let wasRefusedAtOnce = false;
    for (const door of doors) {
      const calls = flood(world, door, () => "198.51.100.7").length;
      count += calls;
      wasRefusedAtOnce ||= calls === 0;
    }
    expect(wasRefusedAtOnce).toBe(true);
    expect(count).toBeLessThanOrEqual(dialogOctetsPerSourceMax / octetsMin + 1);
    const last = doors.at(-1) ?? registered(world, "nobody", 99);
    expect(establish(world, last, "198.51.100.8", "another-source")).toBeDefined();
    callOfOurs(world, last, "ours");
  });

  it("have a share in all: subscribers call on, and memory has a bound", { timeout: 120_000 }, () => {
    const world = new TestExchange();
    let count = 0;
    let doors = 0;
    for (let calls = 1; calls > 0; count += calls, doors += 1) {
      calls = flood(world, registered(world, `door${doors}`, doors + 1), everywhere).length;
    }
    expect(count).toBeLessThanOrEqual(dialogOctetsOfStrangersMax / octetsMin + 1);
    expect(count).toBeGreaterThan(dialogOctetsOfStrangersMax / octetsMax);
    expect(sharesOf(world).octets).toBeLessThan(dialogOctetsOfStrangersMax + octetsMax);
    callOfOurs(world, registered(world, "bob", 200), "ours");
  });

  it("to which a phone says 200 again and again with other tags are no way around it", () => {
    const world = new TestExchange();
    const door = registered(world, "door", 1);
    const stranger = new TestPhone("q", "198.51.100.7", 5060);
    const from = "From: <sip:q@elsewhere.test>;tag=caller-tag";
    const call = new DialogCall(world, stranger, door, { uri: "sip:door@example.test", callId: "one", below, from });
    for (let n = 0; n < 2_000; n += 1) {
      world.receive(door.key, answer(call.invite.message, 200, `tag${n}`, [`Contact: <sip:door@203.0.113.1${long}>`]));
    }
    expect(sharesOf(world).octets).toBeLessThan(dialogOctetsFactor * dialogOctetsPerCalleeMax + octetsMax);
  });

  it("that are silent for hours go when strangers have much; who says something stays, and where they have little all stay", () => {
    const few = new TestExchange();
    const quiet = establish(few, registered(few, "door", 1), everywhere(1), "quiet");
    few.advance(dialogLifetimeMs - 3_600_000);
    few.exchange.sweep(few.now);
    if (quiet === undefined) throw new Error("refused");
    hangUp(few, quiet);

    const world = new TestExchange();
    const door = registered(world, "door", 1);
    const ours = callOfOurs(world, door, "ours");
    const [live, ...calls] = flood(world, door, everywhere);
    if (live === undefined) throw new Error("refused");
    world.advance(strangersSilentMs / 2);
    const info = one(live.send(world, "INFO", "caller", { routes: routesOf(live) }), "INFO");
    one(world.receive(door.key, answer(info.message, 200, "x")), "SIP/2.0 200");
    world.exchange.sweep(world.now);
    expect(world.exchange.store.count("dialog")).toBe(calls.length + 2);
    world.advance(strangersSilentMs / 2);
    world.exchange.sweep(world.now);
    expect(world.exchange.store.count("dialog")).toBe(2);
    registered(world, "door", 1);
    hangUp(world, live);
    expect(told(ours.send(world, "INFO", "callee"))).toContain(`${ours.caller.key} INFO`);
    expect(establish(world, door, everywhere(1), "again")).toBeDefined();
  });

  it("count as much at the peer, and after a restart: there, too, the next one is refused, and what ends is given back", () => {
    const world = new TestExchange();
    const door = registered(world, "door", 1);
    const calls = flood(world, door, everywhere);
    const { records } = world.exchange.store.changedSince(0, 100_000, true);
    const peer = new TestExchange("open", { cell: "b", now: world.now });
    for (const record of records) peer.exchange.applyFromPeer(record, peer.now);
    const restarted = new TestExchange("open", { now: world.now });
    for (const record of world.exchange.store.takeDirty().put) restarted.exchange.restore(record);
    restarted.receive(door.key, door.register());
    for (const replica of [peer, restarted]) {
      replica.exchange.takeOver(undefined, replica.now);
      expect(sharesOf(replica).counts).toEqual(sharesOf(world).counts);
      expect(establish(replica, door, everywhere(3), "one-more")).toBeUndefined();
      for (const call of calls) hangUp(replica, call);
      expect(sharesOf(replica).counts).toEqual({ octets: 0, ofStrangers: 0, sources: {}, callees: {} });
      expect(establish(replica, door, everywhere(3), "after")).toBeDefined();
    }
  });
});

describe("the record of a call", () => {
  it("holds no Contact and no instance that is longer than one may be: its requests go by the flows in the token", () => {
    const world = new TestExchange();
    const bob = registered(world, "bob", 1);
    const alice = new TestPhone("alice", "192.0.2.77", 5060);
    const huge = "x".repeat(contactOctetsMax);
    const headers = [`Contact: <sip:alice@192.0.2.77:5060;x=${huge}>;+sip.instance="<urn:x:${"i".repeat(instanceIdOctetsMax)}>"`];
    const call = new DialogCall(world, alice, bob, { headers });
    const instance = `;+sip.instance="<urn:x:${"i".repeat(instanceIdOctetsMax)}>"`;
    one(world.receive(bob.key, answer(call.invite.message, 200, "callee-tag", [`Contact: ${bob.contact}${instance}`])), "SIP/2.0 200");
    expect(told(call.send(world, "ACK", "caller"))).toEqual([`${bob.key} ACK`]);
    expect(sharesOf(world).octets).toBeLessThan(octetsMax / 2);
    const [record] = world.exchange.store.records("dialog");
    expect(JSON.stringify(record).length).toBeLessThan(1_000);
    expect(told(call.send(world, "INFO", "callee", { uri: `sip:alice@192.0.2.77:5060;x=${huge}` }))).toContain(`${alice.key} INFO`);
    expect(told(call.send(world, "BYE", "caller"))).toContain(`${bob.key} BYE`);
  });

  it("is one of so many in all: whoever calls then is told when to come again, and what stands goes on", () => {
    const world = new TestExchange();
    const bob = registered(world, "bob", 1);
    const call = callOfOurs(world, bob, "before");
    const [record] = world.exchange.store.records("dialog");
    if (record === undefined) throw new Error("no record");
    // As many ordinary calls as there may be, each with a large Contact so that they are made soon.
    const caller = { ...record.value.caller, contact: `sip:${"c".repeat(100_000)}` };
    for (let n = 0; n * 100_000 < dialogOctetsMax; n += 1) {
      world.exchange.restore({ ...record, key: `other${n} one two`, value: { ...record.value, caller } });
    }
    const alice = new TestPhone("alice", "192.0.2.77", 5060);
    const refused = world.receive(alice.key, alice.request("INVITE", "sip:bob@example.test", ["Call-ID: too-many"]));
    expect(told(refused)).toEqual([`${alice.key} 503`]);
    expect(told(world.receive(alice.key, alice.request("MESSAGE", "sip:bob@example.test", ["Call-ID: text"])))).toContain(
      `${bob.key} MESSAGE`,
    );
    expect(told(call.send(world, "INVITE", "callee"))).toContain(`${alice.key} INVITE`);
    hangUp(world, call);
  });
});
