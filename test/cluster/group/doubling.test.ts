import { describe, expect, it } from "vitest";
import { exchangesIn } from "../../../cluster/map/serving-cells.ts";
import { Simulation } from "./group-simulation.ts";

const cells = ["a", "b", "c"];

/** Three cells with four exchanges. */
function running(): Simulation {
  return new Simulation({ cells: 3, gateways: 0, deployed: { exchangeCount: 4 } }).startAll().run(3_000);
}

function double(simulation: Simulation, cell: string): void {
  simulation.tell(cell, (group, now) => group.changeMap({ exchangeCount: 2 * group.map.exchangeCount }, now));
}

/** The exchanges of a cell say that they have nothing of others any more, now that there are so many. */
function handOver(simulation: Simulation, cell: string, count = simulation.group(cell).map.exchangeCount): void {
  for (const exchange of exchangesIn(simulation.group(cell).map, cell))
    simulation.tell(cell, (group, now) => group.exchangeHasHandedOver(exchange, count, now));
}

function countsOf(simulation: Simulation): (number | undefined)[] {
  return cells.map((cell) => simulation.group(cell).map.exchangeCount);
}

function isUnderWay(simulation: Simulation): (true | undefined)[] {
  return cells.map((cell) => simulation.group(cell).map.doubled?.isUnderWay);
}

/** Replicas move meanwhile, so that cells have alike of them. Those that have come say it as well. */
function handOverUntilOver(simulation: Simulation): void {
  for (let looks = 0; looks < 30 && isUnderWay(simulation).includes(true); looks += 1) {
    for (const cell of cells) handOver(simulation, cell);
    simulation.run(1_000);
  }
  expect(isUnderWay(simulation)).toEqual([undefined, undefined, undefined]);
}

describe("exchanges that are doubled", () => {
  it("are so everywhere at once, and it is over when all replicas have handed over", () => {
    const simulation = running();
    double(simulation, "a");
    simulation.run(2_000);
    expect(countsOf(simulation)).toEqual([8, 8, 8]);
    for (const cell of cells) expect(simulation.group(cell).leftToHandOver).toEqual({ left: 16, down: [] });
    handOver(simulation, "a");
    handOver(simulation, "b", 4);
    simulation.run(5_000);
    expect(isUnderWay(simulation)).toEqual([true, true, true]);
    const left = exchangesIn(simulation.group("c").map, "b").length + exchangesIn(simulation.group("c").map, "c").length;
    for (const cell of cells) expect(simulation.group(cell).leftToHandOver).toEqual({ left, down: [] });
    for (const cell of cells) handOver(simulation, cell);
    simulation.until(() => isUnderWay(simulation).every((each) => each === undefined), 3_000);
    expect(simulation.group("c").map.doubled).toEqual({ first: 4 });
    expect(simulation.group("c").leftToHandOver).toBeUndefined();
    // The next time they say it anew.
    double(simulation, "b");
    simulation.run(5_000);
    expect(countsOf(simulation)).toEqual([16, 16, 16]);
    expect(simulation.group("c").leftToHandOver).toEqual({ left: 32, down: [] });
  });

  it("wait for a cell that is down, and name it: it hands over when it is back, be it after two times", () => {
    const simulation = running();
    simulation.killCell("c");
    simulation.run(10_000);
    for (let times = 0; times < 2; times += 1) {
      double(simulation, "a");
      simulation.run(2_000);
      for (const cell of ["a", "b"]) handOver(simulation, cell);
      simulation.run(3_000);
      for (const cell of ["a", "b"]) expect(simulation.group(cell).leftToHandOver).toEqual({ left: 0, down: ["c"] });
      expect(simulation.group("b").map.doubled?.isUnderWay).toBe(true);
    }
    simulation.startCell("c");
    simulation.run(3_000);
    expect(countsOf(simulation)).toEqual([16, 16, 16]);
    expect(simulation.refusalsOf("c")).toEqual([]);
    handOverUntilOver(simulation);
  });

  it("do not wait for a cell that has handed over and died then", () => {
    const simulation = running();
    double(simulation, "a");
    simulation.run(2_000);
    handOver(simulation, "c");
    simulation.run(1_000);
    simulation.killCell("c");
    simulation.run(5_000);
    expect(simulation.group("a").leftToHandOver).toMatchObject({ down: [] });
  });

  it("are as many on both sides of a cut when they meet, whichever has written the higher map", () => {
    for (const writers of [["a"], ["a", "b", "b", "b"]]) {
      const simulation = running();
      simulation.cutApart(["a"], ["b", "c"]);
      double(simulation, "a");
      for (const cell of writers)
        simulation.tell(cell, (group, now) => group.changeMap({ heartbeat: { periodMs: 1_000, missed: 3 } }, now));
      simulation.run(8_000);
      expect(countsOf(simulation)).toEqual([8, 4, 4]);
      simulation.heal();
      simulation.run(5_000);
      expect(countsOf(simulation)).toEqual([8, 8, 8]);
      const [first, ...others] = cells.map((cell) => simulation.mapOf(cell));
      for (const other of others) expect(other).toEqual(first);
      for (const cell of cells) expect(simulation.refusalsOf(cell)).toEqual([]);
      handOverUntilOver(simulation);
    }
  });
});
