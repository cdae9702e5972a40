import { describe, expect, it } from "vitest";
import { peerDelayMs } from "../../../cluster/limits.ts";
import type { Frame } from "../../../cluster/backhaul/frame.ts";
import { refusedCause } from "../../../cluster/replication/peer-link.ts";
import { isParseError } from "../../../sip/errors.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import { ActorWorld, messageOf, textsOf, type ActorWorldOptions, type TestBackhaul } from "./actor-world.ts";
import { answer, TestPhone } from "./harness.ts";

const alice = new TestPhone("alice", "198.51.100.7", 5060, "TCP");
const bob = new TestPhone("bob", "198.51.100.8", 5060, "TCP");
const carol = new TestPhone("carol", "198.51.100.9", 5060, "WS");
const dave = new TestPhone("dave", "198.51.100.10", 5060, "TCP");

/** A call that rings: the gateway of its caller, and what its callee says next. */
type Ringing = { readonly world: ActorWorld; readonly gateway: TestBackhaul; readonly ok: string };

/** Alice calls, and it rings at bob, who is at the same gateway, or at carol, a softphone at a line. All of it is at the peer, or on the disk. */
function ringing(callee: TestPhone, options: ActorWorldOptions = {}): Ringing {
  const world = new ActorWorld(options);
  if (options.isAlone !== true) world.join();
  const gateway = world.backhaul();
  if (callee === bob) gateway.message(bob.key, bob.register());
  else world.lineFrame("a.0", [messageOf(callee.key, callee.register())]);
  settle(world);
  gateway.message(alice.key, alice.request("INVITE", `sip:${callee.user}@example.test`, [`Call-ID: to-${callee.user}`]));
  settle(world);
  const texts = [...gateway.texts, ...world.toLines.flatMap(({ frame }) => textsOf(frame.records))];
  const invite = parseMessage(octetsOf(texts.find((text) => text.startsWith("INVITE ")) ?? ""));
  if (isParseError(invite)) throw new Error(invite.reason);
  return { world, gateway, ok: answer(invite, 200, "callee", [`Contact: ${callee.contact}`]) };
}

function settle(world: ActorWorld): void {
  world.advance(2 * peerDelayMs);
  world.answerBatches();
}

/** What phones at the gateway have been told finally, as `200 INVITE`. */
function finals({ texts }: TestBackhaul): string[] {
  const methods = /^SIP\/2\.0 ([2-6]\d\d)[^]*\r\nCSeq: *\d+ (\w+)/;
  return texts.flatMap((text) => methods.exec(text)?.slice(1, 3).join(" ") ?? []);
}

function lastAck({ frames }: TestBackhaul): Frame["ack"] | undefined {
  return frames.at(-1)?.ack;
}

describe("a 2xx to an INVITE", () => {
  it("leaves at once when a gateway has brought it, whose frame is acknowledged when the peer knows the dialog", () => {
    const { world, gateway, ok } = ringing(bob);
    const before = lastAck(gateway) ?? 0;
    gateway.message(bob.key, ok);
    expect(finals(gateway)).toEqual(["200 REGISTER", "200 INVITE"]);
    expect(lastAck(gateway)).toBe(before);
    world.advance(peerDelayMs);
    expect([...world.batches.values()]).toEqual([expect.stringContaining('"dialog"')]);
    expect(lastAck(gateway)).toBe(before);
    world.answerBatches();
    expect(lastAck(gateway)).toBe(before + 1);
  });

  it("has its frame acknowledged when the disk knows the dialog, where the peer goes away meanwhile", () => {
    const { world, gateway, ok } = ringing(bob);
    const before = lastAck(gateway) ?? 0;
    gateway.message(bob.key, ok);
    world.advance(peerDelayMs);
    const [id = 0] = [...world.batches.keys()];
    world.batches.clear();
    world.isRoomKnown = false;
    world.take(() => world.actor.peerFailed(id, true, refusedCause));
    expect(lastAck(gateway)).toBe(before);
    world.happened.length = 0;
    world.take(() => world.room[0]?.(true));
    expect(world.happened).toEqual(["write", "send"]);
    expect(lastAck(gateway)).toBe(before + 1);
  });

  it("does not take along what came with it: the 200 of a REGISTER waits for the peer", () => {
    const { world, gateway, ok } = ringing(bob);
    gateway.give([messageOf(dave.key, dave.register()), messageOf(bob.key, ok)]);
    expect(finals(gateway)).toEqual(["200 REGISTER", "200 INVITE"]);
    world.answerBatches();
    expect(finals(gateway)).toEqual(["200 REGISTER", "200 INVITE", "200 REGISTER"]);
  });

  it("waits for the peer when it comes again before that knows the dialog", () => {
    const { world, gateway, ok } = ringing(bob);
    gateway.message(bob.key, ok);
    gateway.message(bob.key, ok);
    expect(finals(gateway)).toEqual(["200 REGISTER", "200 INVITE"]);
    world.answerBatches();
    expect(finals(gateway)).toEqual(["200 REGISTER", "200 INVITE", "200 INVITE"]);
  });

  it.each(["a.0", "b.0"])("waits for the peer when line %s has brought it", (line) => {
    const { world, gateway, ok } = ringing(carol);
    world.lineFrame(line, [messageOf(carol.key, ok)]);
    expect(finals(gateway)).toEqual([]);
    world.answerBatches();
    expect(finals(gateway)).toEqual(["200 INVITE"]);
  });

  it("waits for the disk while the peer is away", () => {
    const { world, gateway, ok } = ringing(bob);
    gateway.message(dave.key, dave.register());
    const [id = 0] = [...world.batches.keys()];
    world.batches.clear();
    world.take(() => world.actor.peerFailed(id, true, refusedCause));
    expect(world.actor.pairState).toBe("away");
    expectToWaitForTheDisk(world, gateway, ok);
  });

  it("waits for the disk while the peer lags", () => {
    const { world, gateway, ok } = ringing(bob);
    gateway.message(dave.key, dave.register());
    world.advance(1_000);
    expect(world.actor.pairState).toBe("lagging");
    expectToWaitForTheDisk(world, gateway, ok);
  });

  it("waits for the disk where there is no peer", () => {
    const { world, gateway, ok } = ringing(bob, { isAlone: true });
    expect(world.actor.pairState).toBe("alone");
    expectToWaitForTheDisk(world, gateway, ok);
  });
});

/** Nobody knows for the moment whether there is room on it. */
function expectToWaitForTheDisk(world: ActorWorld, gateway: TestBackhaul, ok: string): void {
  world.advance(1_000);
  world.isRoomKnown = false;
  gateway.message(bob.key, ok);
  expect(finals(gateway)).not.toContain("200 INVITE");
  world.take(() => world.room.shift()?.(true));
  expect(finals(gateway)).toContain("200 INVITE");
}
