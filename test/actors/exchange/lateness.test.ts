import { describe, expect, it } from "vitest";
import { readLateKnownMs, readLateMsMax, readLateMsMin, readLateSaidMs } from "../../../actors/limits.ts";
import { phoneSilentMs, t1Ms } from "../../../sip/limits.ts";
import { answer, TestExchange, TestPhone, type Sent } from "./harness.ts";

const alice = (): TestPhone => new TestPhone("alice", "198.51.100.7", 5070);

function startLines(sent: readonly Sent[]): string[] {
  return sent.map(({ text }) => text.split(" ").slice(0, 2).join(" "));
}

/** Alice has called Bob, both over UDP, and nobody has answered yet. `lateMs`: how old what is read here is. */
function calling(lateMs: number): { readonly world: TestExchange; readonly invite: Sent; readonly bob: TestPhone } {
  const world = new TestExchange();
  const bob = new TestPhone("bob", "203.0.113.9", 5080);
  world.receive(bob.key, bob.register());
  world.exchange.answeredAfter(lateMs, world.now);
  const caller = alice();
  const invite = world.receive(caller.key, caller.request("INVITE", "sip:bob@example.test")).find(({ text }) => text.startsWith("INVITE"));
  if (invite === undefined) throw new Error("no INVITE");
  return { world, invite, bob };
}

describe("a replica that reads late", () => {
  it("takes nobody for silent whose answer may lie unread: what is said again is said so much later", () => {
    const { world } = calling(1_500);
    expect(world.advance(t1Ms + 1_499)).toEqual([]);
    expect(startLines(world.advance(1))).toEqual(["INVITE sip:bob@203.0.113.9:5080"]);
  });

  it("says nothing again to a phone whose answer it reads meanwhile, and looks for it nowhere", () => {
    const { world, invite, bob } = calling(1_500);
    world.advance(t1Ms + 1_000);
    expect(startLines(world.receive(bob.key, answer(invite.message, 180, "bob-tag")))).toEqual(["SIP/2.0 180"]);
    expect(world.advance(10_000)).toEqual([]);
    expect(world.flowsAsked).toEqual([]);
  });

  it("is as fast as ever when nothing waits: what takes less than readLateMsMin is no lateness", () => {
    for (const lateMs of [0, readLateMsMin - 1]) {
      const { world } = calling(lateMs);
      expect(world.exchange.nextDeadline()).toBeLessThanOrEqual(world.now + phoneSilentMs);
      expect(startLines(world.advance(t1Ms)).filter((line) => line.startsWith("INVITE"))).toHaveLength(1);
    }
  });

  it("is late by what was measured last, as long as something is read", () => {
    const { world } = calling(1_500);
    world.advance(100);
    world.exchange.answeredAfter(5, world.now);
    expect(startLines(world.advance(t1Ms - 100)).filter((line) => line.startsWith("INVITE"))).toHaveLength(1);
    const silent = calling(1_500).world;
    silent.advance(t1Ms + 1_500 + readLateKnownMs);
    // By now timers ring in time again: Timer A of T1 and 2 T1 have.
    expect(silent.exchange.nextDeadline()).toBeGreaterThan(silent.now);
    expect((silent.exchange.nextDeadline() ?? 0) - silent.now).toBeLessThanOrEqual(4 * t1Ms);
  });

  it("waits for readLateMsMax longer at most, whatever is measured: a call that nobody answers ends", () => {
    const { world } = calling(3_600_000);
    const sent = world.advance(64 * t1Ms + readLateMsMax);
    expect(startLines(sent).filter((line) => line === "SIP/2.0 408" || line === "SIP/2.0 480")).toHaveLength(1);
  });

  it("says so once when it lasts, and once when it is over; a standstill is no news", () => {
    const world = new TestExchange();
    const read = (lateMs: number): void => {
      world.exchange.answeredAfter(lateMs, world.now);
      world.drain();
      world.advance(500);
    };
    for (const lateMs of [9_000, 5, 9_000, 3, readLateSaidMs - 1, 5]) read(lateMs);
    expect(world.logged).toEqual([]);
    for (let ms = 0; ms < 10_000; ms += 500) read(2_400);
    for (const lateMs of [readLateMsMin, 900, 5, 5, 900, 5]) read(lateMs);
    expect(world.logged).toEqual([
      "exchange 0 reads what gateways bring 2.4 s late: its machine is too busy, calls take as much longer",
      "exchange 0 reads in time again",
    ]);
  });
});
