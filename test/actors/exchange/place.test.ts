import { describe, expect, it } from "vitest";
import { placeIn, wasMoved } from "../../../actors/exchange/place.ts";
import { cellAdded, cellRemoved, withCells } from "../../../cluster/map/map-change.ts";
import { groupMap } from "../../cluster/group/group-map.ts";

const two = { ...groupMap(["a", "b"]), exchangeCount: 6 };
const cell = { id: "c", url: "http://c.invalid" };
const three = { ...two, ...withCells(two, cellAdded(two, cell)) };

function movedTo(map: typeof two, exchange: number, primary: string, secondary: string): typeof two {
  return { ...map, assignments: (map.assignments ?? []).with(exchange, { primary, secondary }) };
}

describe("whether a replica was moved to its cell", () => {
  it("is no matter of which cells there are now: those that had it at first have not been given it", () => {
    for (const own of ["a", "b"]) for (let exchange = 0; exchange < 6; exchange += 1) expect(wasMoved(three, exchange, own)).toBe(false);
  });

  it("is so of any replica in a cell that was added, whatever would follow from all cells", () => {
    for (let exchange = 0; exchange < 6; exchange += 1) {
      expect(wasMoved(three, exchange, "c")).toBe(false);
      expect(wasMoved(movedTo(three, exchange, "a", "c"), exchange, "c")).toBe(true);
    }
  });

  it("is so of a new cell that has the name of one that was removed", () => {
    const without = { ...three, assignments: Array.from({ length: 6 }, () => ({ primary: "b", secondary: "c" })) };
    const again = { ...without, ...withCells(without, cellRemoved(without, "a")) };
    const back = { ...again, ...withCells(again, [...again.cells, { id: "a", url: "http://new.invalid" }]) };
    expect(wasMoved(movedTo(back, 0, "a", "b"), 0, "a")).toBe(true);
  });

  it("is so of the second replicas that a lone cell's exchanges get", () => {
    const alone = { ...groupMap(["a"]), exchangeCount: 2 };
    const pair = { ...alone, ...withCells(alone, cellAdded(alone, { id: "b", url: "http://b.invalid" })) };
    for (const exchange of [0, 1]) expect([wasMoved(pair, exchange, "a"), wasMoved(pair, exchange, "b")]).toEqual([false, true]);
  });
});

describe("the place of an exchange", () => {
  it("is none in a cell that was removed, and what is left there is for the primary", () => {
    const inTwo = { ...three, ...withCells(three, cellRemoved(three, "c")) };
    expect(placeIn(inTwo, 1, "c")).toEqual({ role: "none", peer: "b", joining: undefined });
  });
});
