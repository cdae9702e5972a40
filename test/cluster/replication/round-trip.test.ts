import { describe, expect, it } from "vitest";
import { answerMarginMs, answerMsMax, peerDelayMs, peerOverlapMs } from "../../../cluster/limits.ts";
import { RoundTrip } from "../../../cluster/replication/round-trip.ts";
import { ackTimeoutMs, randomFrom, World } from "./world.ts";

const key = (name: string | number): string => `bob@example.test ${name}`;

function after(...took: readonly number[]): number {
  const roundTrip = new RoundTrip();
  for (const ms of took) roundTrip.took(ms);
  return roundTrip.timeoutMs(ackTimeoutMs);
}

/** Ten seconds of what must not be forgotten, at both. What was waited for, sorted. */
function traffic(world: World, perSecond: number): number[] {
  const random = randomFrom(perSecond);
  const count = 10 * perSecond;
  for (let index = 0; index < count; index += 1) {
    const replica = index % 2 === 0 ? world.a : world.b;
    world.after(random() * 10_000, () => replica.change(key(index % 500)));
  }
  world.pass(12_000);
  expect(world.told).toHaveLength(count);
  return world.told.map(({ waitedMs }) => waitedMs).toSorted((one, other) => one - other);
}

describe("how long an answer is waited for [RFC6298 2]", () => {
  it("is what the map says, until something has been measured, and with a peer nearby", () => {
    expect(after()).toBe(ackTimeoutMs);
    expect(after(1)).toBe(ackTimeoutMs);
    expect(after(...Array.from({ length: 100 }, (_, index) => 1 + (index % 20)))).toBe(ackTimeoutMs);
  });

  it("is three times the first answer, and comes near to what answers take while they take the same", () => {
    expect(after(260)).toBe(780);
    expect(after(...Array<number>(40).fill(260))).toBe(260 + answerMarginMs);
    const random = randomFrom(1);
    const took = Array.from({ length: 100 }, () => 250 + random() * 100);
    expect(after(...took)).toBeGreaterThan(350);
    expect(after(...took)).toBeLessThan(600);
  });

  it("begins anew with an answer that took less than half: those before it were held up", () => {
    expect(after(800, 600, 3)).toBe(ackTimeoutMs);
    expect(after(...Array<number>(20).fill(260), 3)).toBe(ackTimeoutMs);
  });

  it("has a bound, and what took longer than that tells of no distance", () => {
    expect(after(900, 950)).toBe(answerMsMax);
    expect(after(1, answerMsMax + 1)).toBe(ackTimeoutMs);
    expect(new RoundTrip().timeoutMs(answerMsMax + 500)).toBe(answerMsMax + 500);
  });
});

describe.each([0, 20, 150, 260, 400])("two replicas that are %i ms apart, there and back", (roundTripMs) => {
  function apart(jitterMs = 0): World {
    const world = new World();
    world.network = { loss: 0, duplicates: 0, delayMsMin: roundTripMs / 2, delayMsMax: jitterMs };
    world.pass(5_000);
    expect([world.a.link.state, world.b.link.state]).toEqual(["together", "together"]);
    return world;
  }

  it.each([
    [2, 0],
    [50, 0],
    [50, 30],
    [300, 10],
  ])("stay together for ten seconds of %i commits a second, whose ways vary by %i ms", (perSecond, jitterMs) => {
    const world = apart(jitterMs);
    const states = [world.a, world.b].map((replica) => replica.states.length);
    const waited = traffic(world, perSecond);
    expect([world.a, world.b].flatMap((replica, index) => replica.states.slice(states[index]))).toEqual([]);
    expect(world.broken).toEqual([]);
    // A batch that has just left, or those that may be under way, and no second way there and back.
    const company = Math.max(peerDelayMs, roundTripMs / 8) + 2 * peerOverlapMs;
    expect(waited[Math.floor(waited.length / 2)]).toBeLessThan(roundTripMs + 2 * jitterMs + company);
    expect(world.b.table()).toEqual(world.a.table());
  });

  it("find that the other one is silent, soon after its answer is due", () => {
    const world = apart(10);
    traffic(world, 50);
    world.isCut = true;
    const cutAt = world.now;
    world.a.change(key("last"));
    world.pass(answerMsMax + 100);
    const told = world.told.find((each) => each.key === key("last"));
    expect(world.a.states.at(-1)).toBe("lagging");
    expect((told?.at ?? Number.POSITIVE_INFINITY) - cutAt).toBeLessThan(Math.max(ackTimeoutMs, roundTripMs + 10 + answerMarginMs) + 40);
  });

  it("that stood still asks what it has missed, and waits for the answer", () => {
    const world = apart();
    traffic(world, 20);
    world.a.freeze();
    world.pass(5_000);
    world.b.change(key("missed"));
    world.pass(2_000);
    world.a.thaw();
    const states = world.a.states.length;
    let served: string[] | undefined;
    world.a.input(() => {
      served = world.a.table();
    });
    world.pass(2_000);
    expect(served).toEqual(world.b.table());
    expect(world.a.causes.slice(states).filter((cause) => cause.includes("does not tell"))).toEqual([]);
  });
});
