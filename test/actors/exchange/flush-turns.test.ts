import { describe, expect, it } from "vitest";
import { FlushTurns } from "../../../actors/exchange/flush-turns.ts";
import { pairOf } from "../../../cluster/map/cluster-map.ts";
import { startedAt, testMap } from "./harness.ts";

const { flushMs } = testMap();

/** When the next write of a replica is that changes at `now`. */
function nextOf(cell: string, exchange: number, now: number, map = testMap("open", 32)): number {
  return now + new FlushTurns(map, exchange, cell).waitMs(now);
}

describe("the turns of two disks", () => {
  it.each([0, 1, 7, 30])("have a change of exchange %i on one of both within flushMs, and on both within twice that", (exchange) => {
    for (let now = startedAt; now < startedAt + 5 * flushMs; now += 37) {
      const [first, last] = [nextOf("a", exchange, now) - now, nextOf("b", exchange, now) - now].toSorted((one, other) => one - other);
      expect(first).toBeGreaterThan(0);
      expect(first).toBeLessThanOrEqual(flushMs);
      expect(last).toBe((first ?? 0) + flushMs);
    }
  });

  it("are of the same length, and do not drift", () => {
    const first = nextOf("a", 0, startedAt);
    expect(nextOf("a", 0, first)).toBe(first + 2 * flushMs);
    expect(nextOf("a", 0, first + 1)).toBe(first + 2 * flushMs);
  });

  it("come at another moment for each exchange of a cell", () => {
    const exchanges = Array.from({ length: 16 }, (_, exchange) => exchange);
    expect(new Set(exchanges.map((exchange) => nextOf("a", exchange, startedAt))).size).toBe(exchanges.length);
    // Of two neighbours each cell has one that it prefers: their writes are nearly flushMs apart.
    const map = testMap("open", 32);
    expect(pairOf(map, 0).primary).not.toBe(pairOf(map, 1).primary);
    const apartMs = Math.abs(nextOf("a", 0, startedAt) - nextOf("a", 1, startedAt));
    expect(Math.min(apartMs, 2 * flushMs - apartMs)).toBeGreaterThan(flushMs / 2);
  });

  it("are over at once where nothing may wait", () => {
    expect(nextOf("a", 0, startedAt, { ...testMap(), flushMs: 0 })).toBe(startedAt);
  });

  it("are right before 1970, when a clock may stand that was never set", () => {
    expect(nextOf("a", 0, -flushMs / 2)).toBe(0);
  });
});
