import { describe, expect, it } from "vitest";
import { crowdedLineMs } from "../../../actors/limits.ts";
import {
  heldOctetsOfStrangersMax,
  heldOctetsPerCalleeMax,
  heldStrangersShare,
  retryAfterSeconds,
  retrySpreadSeconds,
} from "../../../sip/limits.ts";
import { answer, TestExchange, TestPhone, type Sent } from "./harness.ts";

/** INVITEs that nobody answers, and what becomes of those who call meanwhile. Large ones, so that few are enough. */
const body = "x".repeat(20_000);
/** Octets of one such INVITE at least: it is held as it came, as it was forwarded, and as a record. */
const heldOctets = 3 * body.length;

function statuses(sent: readonly Sent[]): string[] {
  return sent.map(({ text }) => (text.startsWith("SIP/2.0 ") ? text.slice(8, 11) : (text.split(" ", 1)[0] ?? "")));
}

function registered(world: TestExchange, user: string, number: number): TestPhone {
  const phone = new TestPhone(user, `203.0.113.${number}`, 5060);
  expect(statuses(world.receive(phone.key, phone.register()))).toEqual(["200"]);
  return phone;
}

/** A stranger rings until he is refused; the INVITEs that rang. */
function ring(world: TestExchange, callee: string, addressOf: (n: number) => string, most: number, round = 0): Sent[] {
  const rang: Sent[] = [];
  for (let n = 0; n < most; n += 1) {
    const stranger = new TestPhone(`stranger${n}r${round}`, addressOf(n), 5060);
    const headers = [`From: <sip:s${n}@elsewhere.test>;tag=${n}`, `Call-ID: ring-${callee}-${n}-${round}`];
    const sent = world.receive(stranger.key, stranger.request("INVITE", `sip:${callee}@example.test`, headers, body));
    const invite = sent.find(({ text }) => text.startsWith("INVITE"));
    const refusal = /^SIP\/2\.0 503 [^]*\r\nRetry-After: \d+\r\n/.test(sent[0]?.text ?? "");
    expect(refusal).toBe(invite === undefined);
    if (invite === undefined) break;
    rang.push(invite);
  }
  return rang;
}

describe("INVITEs that nobody answers", () => {
  it("[RFC3261 21.5.4] of strangers for one callee have a share; another one is called, and so is he when they have been answered", () => {
    const world = new TestExchange();
    const bob = registered(world, "bob", 1);
    const carol = registered(world, "carol", 2);
    const most = Math.floor((heldOctetsPerCalleeMax * heldStrangersShare) / heldOctets);
    const rang = ring(world, "bob", (n) => `198.51.100.${n % 250}`, 10 * most);
    expect(rang.length).toBeGreaterThan(most / 3);
    expect(rang.length).toBeLessThanOrEqual(most);

    const alice = new TestPhone("alice", "192.0.2.77", 5060);
    const isCalled = (user: string, callId: string): void => {
      const call = alice.request("INVITE", `sip:${user}@example.test`, [`Call-ID: ${callId}`], body);
      expect(statuses(world.receive(alice.key, call))).toContain("INVITE");
    };
    isCalled("carol", "fine");
    expect(world.sent.at(-1)?.key).toBe(carol.key);
    // One of ours calls him whatever strangers do.
    isCalled("bob", "ours");
    for (const { message } of rang) world.receive(bob.key, answer(message, 486, "busy"));
    expect(ring(world, "bob", (n) => `198.51.100.${n % 250}`, 1, 1)).toHaveLength(1);
  });

  it("of strangers have a share, from however many addresses and for however many callees: subscribers call on", () => {
    const world = new TestExchange();
    const callees = Array.from({ length: 40 }, (_, n) => registered(world, `user${n}`, n + 1).user);
    let rang = 0;
    for (const [index, callee] of callees.entries()) rang += ring(world, callee, (n) => `198.51.${index}.${n % 250}`, 1_000).length;
    expect(rang * heldOctets).toBeLessThanOrEqual(heldOctetsOfStrangersMax);
    expect(rang * heldOctets).toBeGreaterThan(heldOctetsOfStrangersMax / 3);
    const alice = new TestPhone("alice", "192.0.2.77", 5060);
    for (const callee of callees.slice(0, 5)) {
      const headers = [`Call-ID: alice-${callee}`, `From: <sip:alice@example.test>;tag=${callee}`];
      expect(statuses(world.receive(alice.key, alice.request("INVITE", `sip:${callee}@example.test`, headers)))).toContain("INVITE");
    }
  });

  it("are given up by their callers: what they held is free again, and nothing of it is left", () => {
    const world = new TestExchange();
    const bob = registered(world, "bob", 1);
    for (let round = 0; round < 3; round += 1) {
      const most = Math.floor(heldOctetsPerCalleeMax / heldOctets / 2);
      const rang = ring(world, "bob", (n) => `198.51.100.${n}`, most / 2, round);
      expect(rang).toHaveLength(Math.ceil(most / 2));
      for (const { message } of rang) world.receive(bob.key, answer(message, 480, "away"));
      world.advance(200_000);
      expect(world.exchange.counts(world.now).transactions).toBe(0);
      expect(statuses(world.receive(bob.key, bob.register()))).toEqual(["200"]);
    }
  });

  it("[RFC3261 17.2.1] that were refused ring at no later time: a copy gets the same 503 when there is room again, a new request rings", () => {
    const world = new TestExchange();
    const bob = registered(world, "bob", 1);
    const rang = ring(world, "bob", () => "198.51.100.1", 1_000);
    const late = new TestPhone("late", "198.51.100.1", 5061);
    const headers = ["From: <sip:late@elsewhere.test>;tag=late", "Call-ID: late"];
    const invite = late.request("INVITE", "sip:bob@example.test", headers, body);
    const refused = world.receive(late.key, invite);
    expect(statuses(refused)).toEqual(["503"]);
    for (const { message } of rang) world.receive(bob.key, answer(message, 486, "busy"));
    for (const pauseMs of [200, 1_000, 30_000]) {
      world.advance(pauseMs);
      expect(world.receive(late.key, invite).map(({ text }) => text)).toEqual(refused.map(({ text }) => text));
    }
    const again = late.request("INVITE", "sip:bob@example.test", headers, body);
    expect(statuses(world.receive(late.key, again))).toContain("INVITE");
  });

  it("[RFC3261 21.5.4] that are refused say different times to come again", () => {
    const world = new TestExchange();
    registered(world, "bob", 1);
    ring(world, "bob", () => "198.51.100.1", 1_000);
    const seconds = Array.from({ length: 50 }, (_, n) => {
      const stranger = new TestPhone(`more${n}`, "198.51.100.1", 5061);
      const headers = [`From: <sip:more@elsewhere.test>;tag=${n}`, `Call-ID: more-${n}`];
      const [refusal] = world.receive(stranger.key, stranger.request("INVITE", "sip:bob@example.test", headers, body));
      return Number(/^SIP\/2\.0 503 [^]*\r\nRetry-After: (\d+)\r\n/.exec(refusal?.text ?? "")?.[1]);
    });
    expect(Math.min(...seconds)).toBeGreaterThanOrEqual(retryAfterSeconds);
    expect(Math.max(...seconds)).toBeLessThanOrEqual(retryAfterSeconds + retrySpreadSeconds);
    expect(new Set(seconds).size).toBeGreaterThan(retrySpreadSeconds / 2);
  });

  it("that are refused have a line in the log, one a minute, with how many there were", () => {
    const world = new TestExchange();
    registered(world, "bob", 1);
    ring(world, "bob", () => "198.51.100.1", 1_000);
    const line = "a request for bob@example.test was refused with 503, too many wait for an answer";
    expect(world.logged).toEqual([line]);
    for (let n = 1; n < 10; n += 1) expect(ring(world, "bob", () => "198.51.100.1", 1, n)).toEqual([]);
    expect(world.logged).toEqual([line]);
    world.advance(crowdedLineMs);
    // What rang has been given up meanwhile.
    ring(world, "bob", () => "198.51.100.1", 1_000, 10);
    expect(world.logged).toEqual([line, `${line}, and 9 more before`]);
  });
});
