import { describe, expect, it } from "vitest";
import { peerDistanceMsMax, peerDistanceMsMin } from "../../../cluster/limits.ts";
import { calm, World } from "./world.ts";

const key = (name: string | number): string => `bob@example.test ${name}`;

/** There and back, in the calm. */
const roundTripMsMax = 2 * (1 + calm.delayMsMax);

function together(): World {
  const world = new World();
  world.pass(1_000);
  expect([world.a.link.state, world.b.link.state]).toEqual(["together", "together"]);
  return world;
}

function longestWait(world: World): number {
  return Math.max(...world.told.map(({ waitedMs }) => waitedMs));
}

describe("a batch that somebody waits for", () => {
  it("leaves at once while commits are few; those that come behind a batch share the next one", () => {
    const world = together();
    world.a.change(key("x"));
    world.pass(roundTripMsMax);
    expect(world.told).toHaveLength(1);
    world.pass(1_000);
    const { batches } = world.a;
    for (let count = 0; count < 1_000; count += 1) world.after(count * 2, () => world.a.change(key(count)));
    world.pass(2_000);
    expect(world.a.batches - batches).toBeLessThanOrEqual(1 + 2_000 / peerDistanceMsMin);
    expect(longestWait(world)).toBeLessThan(peerDistanceMsMin + 2 * roundTripMsMax);
  });

  it("keeps the further from the last one the more have waited for that, and no further than it may", () => {
    const world = together();
    const { batches } = world.a;
    for (let count = 0; count < 8_000; count += 1) world.after(count / 4, () => world.a.change(key(count % 500)));
    world.pass(2_000);
    expect(world.a.batches - batches).toBeLessThan(5 + 2_000 / peerDistanceMsMax);
    world.pass(1_000);
    expect(world.told).toHaveLength(8_000);
    expect(longestWait(world)).toBeLessThan(peerDistanceMsMax + 2 * roundTripMsMax);
  });
});
