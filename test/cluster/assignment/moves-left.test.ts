import { describe, expect, it } from "vitest";
import { movedBetween, movedTo, movesLeft, sharesNow } from "../../../cluster/assignment/moves-left.ts";
import { cellAdded, cellLeaving } from "../../../cluster/map/map-change.ts";
import { BalancedWorld, cellsOf } from "./balanced-world.ts";

const four = cellsOf(4);
const fifth = { id: "e", url: "http://e.invalid" };
const allUp = (): "up" => "up";

describe("what is left to be moved", () => {
  it("is nothing in a group that is balanced", () => {
    const { assignments } = new BalancedWorld(four, 24);
    expect(movesLeft(four, assignments, allUp)).toEqual({ moves: 0, isSettled: true });
  });

  it("is said before the first step, and at each step, as it then comes", () => {
    const world = new BalancedWorld(four, 24);
    const before = world.assignments;
    world.cells = [...cellAdded(world, fifth)];
    const { moves } = movesLeft(world.cells, before, allUp);
    for (let goesOn = true; goesOn;) {
      const left = movesLeft(world.cells, world.assignments, allUp);
      const switched = world.assignments.map(({ primary, secondary }) => ({ primary, secondary }));
      expect(left.moves + movedBetween(before, switched)).toBe(moves);
      goesOn = world.step();
      expect(left.isSettled).toBe(!goesOn);
    }
    expect(movedBetween(before, world.assignments)).toBe(moves);
    const { replicas, even } = sharesNow(world.cells, world.assignments, "e");
    expect([even, Math.abs(replicas - even) / even < 0.1]).toEqual([9.6, true]);
    // Nothing was moved but what the new one has.
    expect(moves).toBe(replicas);
    expect(movedTo("e", before, world.assignments)).toBe(replicas);
  });

  it("is told of each new cell for itself, when two are added at once", () => {
    const world = new BalancedWorld(four, 24);
    const before = world.assignments;
    world.cells = [...cellAdded(world, fifth), { id: "f", url: "http://f.invalid" }];
    while (world.step());
    const moved = ["e", "f"].map((cell) => movedTo(cell, before, world.assignments));
    expect(moved).toEqual(["e", "f"].map((cell) => sharesNow(world.cells, world.assignments, cell).replicas));
    expect(moved.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(movedBetween(before, world.assignments));
  });

  it("is all that a cell has which leaves, or is down", () => {
    const { assignments } = new BalancedWorld(four, 24);
    const { replicas } = sharesNow(four, assignments, "b");
    const { moves } = movesLeft(cellLeaving({ cells: four }, "b"), assignments, allUp);
    expect(moves).toBeGreaterThanOrEqual(replicas);
    expect(moves).toBeLessThanOrEqual(replicas + 4);
    expect(movesLeft(four, assignments, (cell) => (cell === "b" ? "gone" : "up")).moves).toBeGreaterThanOrEqual(replicas);
  });
});

describe("a cell that is out of service", () => {
  it("is given nothing meanwhile", () => {
    const three = cellsOf(3);
    const { assignments } = new BalancedWorld(cellsOf(2), 12);
    const left = movesLeft(three, assignments, (cell) => (cell === "c" ? "busy" : "up"));
    expect(left).toEqual({ moves: 0, isSettled: true });
    expect(movesLeft(three, assignments, allUp).moves).toBe(8);
  });
});

describe("the share of a cell", () => {
  it("is by weight, and of a cell that leaves, or is not there, nothing", () => {
    const { assignments } = new BalancedWorld(four, 24);
    const cells = four.map((cell) => (cell.id === "a" ? { ...cell, weight: 3 } : cell));
    expect(sharesNow(cells, assignments, "a")).toEqual({ replicas: 12, primaries: 6, even: 24 });
    expect(sharesNow(cellLeaving({ cells }, "a"), assignments, "a").even).toBe(0);
    expect(sharesNow(cells, assignments, "x")).toEqual({ replicas: 0, primaries: 0, even: 0 });
  });
});
