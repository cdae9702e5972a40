import { describe, expect, it } from "vitest";
import { Clocked } from "../../simulation/clocked.ts";
import { ActorWorld } from "./actor-world.ts";
import { credentials } from "./credentials.ts";
import { TestExchange, TestPhone, valuesOf } from "./harness.ts";

const alice = new TestPhone("alice", "198.51.100.7", 5060);
const bob = new TestPhone("bob", "198.51.100.8", 5060);
const hourMs = 3_600_000;

/**
 * An INVITE that Bob does not answer, and a step of the wall clock 100 ms after it came: when its copies leave, by true time, and what Alice hears.
 */
function inviteOverStep(stepMs: number, untilMs: number): { readonly copies: number[]; readonly statuses: string[] } {
  const clocked = new Clocked();
  const world = new ActorWorld({ isAlone: true, timers: clocked.timers });
  const gateway = world.backhaul();
  const invitedAt = 1_000;
  clocked.at(0, () => gateway.message(bob.key, bob.register()));
  // What a gateway acknowledges late is taken for a busy machine's.
  clocked.at(30, () => gateway.give([]));
  clocked.at(invitedAt, () => gateway.message(alice.key, alice.request("INVITE", "sip:bob@example.test")));
  clocked.at(invitedAt + 1, () => gateway.give([]));
  clocked.stepAt(invitedAt + 100, stepMs);
  const copies: number[] = [];
  const count = (): number => gateway.texts.filter((text) => text.startsWith("INVITE sip:bob")).length;
  for (let ms = 0; ms <= untilMs; ms += 10) {
    clocked.runUntil(invitedAt + ms);
    if (count() > copies.length) copies.push(ms);
  }
  const statuses = gateway.texts.filter((text) => text.startsWith("SIP/2.0") && text.includes("INVITE")).map((text) => text.slice(8, 11));
  return { copies, statuses };
}

describe("the wall clock is set while an INVITE is under way", () => {
  it("not at all: Timer A has it said again after 500 ms, 1.5 s, 3.5 s and 7.5 s", () => {
    expect(inviteOverStep(0, 8_000)).toEqual({ copies: [0, 500, 1_500, 3_500, 7_500], statuses: ["100"] });
  });

  it.each([-60_000, -hourMs])("by %i ms: Timer A goes on as if nothing had been", (stepMs) => {
    expect(inviteOverStep(stepMs, 31_000)).toEqual(inviteOverStep(0, 31_000));
  });

  it("an hour forward: it is said again as before, some seconds earlier at most, and not given up", () => {
    const without = inviteOverStep(0, 26_000);
    const stepped = inviteOverStep(hourMs, 26_000);
    expect(stepped.statuses).toEqual(["100"]);
    expect(stepped.copies.length).toBeGreaterThanOrEqual(without.copies.length - 2);
  });

  it.each([-hourMs, hourMs])("by %i ms: Timer B ends it all the same", (stepMs) => {
    expect(inviteOverStep(stepMs, 34_000).statuses).toEqual(["100", "408"]);
  });
});

describe("the wall clock is set, and a phone registers", () => {
  const proved = { user: "alice", password: "wonderland", method: "REGISTER", uri: "sip:example.test" };

  it.each([-60_000, -hourMs, hourMs])(
    "by %i ms before it is asked for its password, or after: it is taken, for as long as it wants",
    (stepMs) => {
      for (const isBefore of [true, false]) {
        const world = new TestExchange("digest");
        world.addSubscriber("alice", "wonderland");
        if (isBefore) world.aheadMs += stepMs;
        const [challenge] = world.receive(alice.key, alice.register());
        if (!isBefore) world.aheadMs += stepMs;
        const [ok] = world.receive(alice.key, alice.register(600, [credentials(challenge, proved)]));
        expect([ok?.message.status, valuesOf(ok, "Contact")[0]]).toEqual([200, expect.stringContaining("expires=600")]);
      }
    },
  );

  it("forward past its end: it is registered no more, until it registers again", () => {
    const world = new TestExchange();
    world.receive(alice.key, alice.register());
    world.aheadMs += hourMs;
    expect(world.exchange.registrations(undefined, world.now)).toEqual([]);
    world.receive(alice.key, alice.register());
    expect(world.exchange.registrations(undefined, world.now)).toMatchObject([{ aor: "alice@example.test", expiresSeconds: 600 }]);
  });
});
