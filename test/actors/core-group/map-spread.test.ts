import { describe, expect, it } from "vitest";
import { MapSpread } from "../../../actors/core-group/map-spread.ts";
import { mapSpreadMs, mapSpreadMsMax } from "../../../actors/limits.ts";
import type { Spread } from "../../../cluster/group/group-effects.ts";

/** Somebody waits since now. What he was told comes at the end of each. */
function waiting(): {
  readonly look: (spread: Spread, atMs: number) => readonly boolean[];
  readonly spread: MapSpread;
  readonly told: boolean[];
} {
  const spread = new MapSpread();
  const told: boolean[] = [];
  spread.wait((isKnown) => void told.push(isKnown), 0);
  return {
    spread,
    told,
    look: (known, atMs) => {
      spread.look(() => known, atMs);
      return told;
    },
  };
}

describe("who has the map changed", () => {
  it("is answered when all other cells that are up have it, and once", () => {
    const { look, spread } = waiting();
    expect(look("some", 5)).toEqual([]);
    expect(look("all", 10)).toEqual([true]);
    expect(look("none", mapSpreadMsMax)).toEqual([true]);
    expect(spread.nextDeadline(10)).toBe(Number.POSITIVE_INFINITY);
  });

  it("is answered when one other cell has it, after the others were waited for", () => {
    const { look, spread } = waiting();
    expect(spread.nextDeadline(5)).toBe(mapSpreadMs);
    expect(look("some", mapSpreadMs - 1)).toEqual([]);
    expect(look("some", mapSpreadMs)).toEqual([true]);
  });

  it("is told when nobody has heard of it in time", () => {
    const { look, spread } = waiting();
    expect(look("none", mapSpreadMs)).toEqual([]);
    expect(spread.nextDeadline(mapSpreadMs)).toBe(mapSpreadMsMax);
    expect(look("none", mapSpreadMsMax)).toEqual([false]);
  });

  it("is told when another cell has written a map meanwhile", () => {
    const { spread, told } = waiting();
    spread.lost();
    expect(told).toEqual([false]);
  });
});
