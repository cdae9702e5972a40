import { describe, expect, it } from "vitest";
import { singletonsOf } from "../../../cluster/group/singletons.ts";
import { healAfterMs } from "../../../cluster/limits.ts";
import { pairOf } from "../../../cluster/map/cluster-map.ts";
import { assignmentsOf } from "../../../cluster/map/serving-cells.ts";
import { cellName, Simulation, type SimulationOptions } from "./group-simulation.ts";

/** Four cells with 24 exchanges that follow the map. */
function running(options: Partial<SimulationOptions> = {}): Simulation {
  const deployed = { exchangeCount: 24, ...options.deployed };
  return new Simulation({ cells: 4, gateways: 0, ...options, deployed }).startAll().run(3_000);
}

function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => cellName(index));
}

/** Exchanges that have a replica in a cell, as another cell knows it. */
function replicasIn(simulation: Simulation, cell: string, seenBy: string): number {
  return assignmentsOf(simulation.group(seenBy).map).filter(({ primary, secondary }) => primary === cell || secondary === cell).length;
}

function ownersIn(simulation: Simulation, cell: string): readonly string[] {
  return singletonsOf(simulation.group(cell).map).flatMap(({ owners }) => owners);
}

describe("a cell that is gone", () => {
  it("is waited for, then replaced evenly; so is the next one, and nothing is written that need not be", () => {
    const simulation = running();
    const { version } = simulation.group("a").map;
    simulation.killCell("b");
    simulation.run(healAfterMs - 2_000);
    expect(simulation.group("a").map.version).toBe(version);
    simulation.until(() => replicasIn(simulation, "b", "d") === 0, 8_000);
    expect(["a", "c", "d"].map((cell) => replicasIn(simulation, cell, "d"))).toEqual([16, 16, 16]);
    simulation.run(20_000);
    const healed = simulation.group("a").map.version;
    expect(healed - version).toBeLessThanOrEqual(3);
    simulation.killCell("c");
    simulation.until(() => replicasIn(simulation, "c", "d") === 0, 40_000);
    expect(["a", "d"].map((cell) => replicasIn(simulation, cell, "d"))).toEqual([24, 24]);
    simulation.run(60_000);
    expect(simulation.group("a").map.version - healed).toBeLessThanOrEqual(3);
  });

  it("is not replaced when it comes back in time, nor where there is nobody to take its place", () => {
    const simulation = running();
    simulation.killCell("b");
    simulation.run(healAfterMs - 5_000);
    simulation.startCell("b");
    simulation.run(60_000);
    expect(simulation.group("a").map.assignments).toBeUndefined();
    const two = running({ cells: 2 });
    two.killCell("b");
    two.run(120_000);
    expect(two.group("a").map.version).toBe(1);
    two.startCell("b");
    two.run(60_000);
    expect(two.group("b").map.version).toBe(1);
  });

  it("is replaced by a coordinator that stands still again and again, and not by one that has only just gone on", () => {
    const simulation = running();
    simulation.killCell("b");
    for (let round = 0; round < 5; round += 1) {
      simulation.run(4_000).freezeCell("a");
      simulation.run(2_200).thawCell("a");
    }
    simulation.until(() => replicasIn(simulation, "b", "a") === 0, 8_000);
    const other = running();
    other.killCell("b");
    other.run(healAfterMs - 4_000).freezeCell("a");
    other.run(2_200).startCell("b");
    other.run(200).thawCell("a");
    other.run(20_000);
    expect(other.group("a").map.assignments).toBeUndefined();
  });

  it("is replaced sooner where the map says so, by a cell of another location", () => {
    const cells = ["north", "north", "south", "south"].map((location, index) => ({
      id: cellName(index),
      url: "http://x.invalid",
      location,
    }));
    const assignments = Array.from({ length: 24 }, (_, index) => ({ primary: cellName(index % 2), secondary: cellName(2 + (index % 2)) }));
    const simulation = running({ deployed: { cells, assignments, healAfterMs: 3_000 } });
    simulation.killCell("d");
    simulation.until(() => replicasIn(simulation, "d", "a") === 0, 9_000);
    expect(["a", "b", "c"].map((cell) => replicasIn(simulation, cell, "a"))).toEqual([12, 12, 24]);
  });

  it("is not replaced by two cells that see each other as gone, while another one hears both", () => {
    const simulation = running();
    simulation.cut("a", "b");
    simulation.run(120_000);
    for (const cell of namesOf(4)) expect(simulation.group(cell).map.version).toBe(1);
  });

  it("is not replaced while a cell of the release before is a member: it would not hear of it", () => {
    const simulation = running({ earlier: ["d"] });
    simulation.killCell("b");
    simulation.run(60_000);
    expect(simulation.group("a").map.assignments).toBeUndefined();
  });

  it("is replaced on both sides of a cut, and the higher map counts when they meet", () => {
    const simulation = running();
    simulation.cutApart(["a", "b"], ["c", "d"]);
    simulation.run(60_000);
    // Of 24 exchanges four have both replicas beyond the cut, and wait for them.
    const served = (cell: string, side: readonly string[]): number =>
      assignmentsOf(simulation.group(cell).map).filter(({ primary, secondary }) =>
        [primary, secondary].every((each) => side.includes(each)),
      ).length;
    expect([served("a", ["a", "b"]), served("c", ["c", "d"])]).toEqual([20, 20]);
    simulation.heal();
    simulation.run(10_000);
    const maps = namesOf(4).map((cell) => simulation.group(cell).map);
    for (const map of maps) expect(map).toEqual(maps[0]);
    for (let exchange = 0; exchange < 24; exchange += 1) {
      const { primary, secondary } = pairOf(simulation.group("a").map, exchange);
      expect(primary).not.toBe(secondary);
    }
  });
});

describe("the coordinator", () => {
  it.each([
    ["killed", 1_100],
    ["frozen", 4_000],
  ])("that is %s has a successor in %i ms, which decides; the table stays as it is", (what, msMax) => {
    const simulation = running();
    const others = ["b", "c", "d"];
    const before = assignmentsOf(simulation.group("b").map);
    expect(ownersIn(simulation, "b")).toEqual(["a"]);
    if (what === "killed") simulation.killCell("a");
    else simulation.freezeCell("a");
    simulation.until(
      () => others.every((cell) => simulation.view(cell).coordinator === "b" && ownersIn(simulation, cell).includes("b")),
      msMax,
    );
    expect(assignmentsOf(simulation.group("b").map)).toEqual(before);
    if (what === "killed") simulation.startCell("a");
    else simulation.thawCell("a");
    simulation.run(3_000);
    for (const cell of namesOf(4)) expect([simulation.view(cell).coordinator, ownersIn(simulation, cell)]).toEqual(["a", ["b"]]);
  });

  it("that is cut off has a successor in 4 s, and decides nothing for the others when it is back", () => {
    const simulation = running();
    simulation.cutApart(["a"], ["b", "c", "d"]);
    simulation.until(() => simulation.view("c").coordinator === "b" && ownersIn(simulation, "c").includes("b"), 4_000);
    simulation.run(10_000);
    simulation.heal();
    simulation.run(5_000);
    const [first, ...others] = namesOf(4).map((cell) => [simulation.group(cell).map, simulation.view(cell).coordinator]);
    for (const other of others) expect(other).toEqual(first);
  });

  it("is whom the map prefers, at once and without a restart; of those that do not live the next", () => {
    const simulation = running();
    const prefer = (preferred: readonly string[]): void => {
      const { coordinator } = simulation.view("d");
      simulation.tell(coordinator, (group, now) => group.changeMap({ preferred }, now));
      simulation.run(100);
    };
    prefer(["c", "b"]);
    for (const cell of namesOf(4)) expect(simulation.group(cell).view().coordinator).toBe("c");
    simulation.killCell("c");
    simulation.run(1_100);
    for (const cell of ["a", "b", "d"]) expect(simulation.view(cell).coordinator).toBe("b");
    prefer(["nobody"]);
    for (const cell of ["a", "b", "d"]) expect(simulation.group(cell).view().coordinator).toBe("a");
  });

  it("that has just started does not decide before it has the map that the others have", () => {
    const simulation = running();
    simulation.killCell("a");
    simulation.run(2_000);
    simulation.tell("b", (group, now) => group.changeMap({ preferred: ["a"] }, now));
    simulation.forgetMap("a");
    simulation.startCell("a");
    simulation.run(5_000);
    for (const cell of namesOf(4)) expect(simulation.group(cell).map).toMatchObject({ preferred: ["a"], writer: "b" });
  });
});

describe("60 cells", () => {
  it("have a new coordinator, and its map, within a second and a half when the first of them is killed", () => {
    const simulation = new Simulation({ cells: 60, gateways: 0, latencyMs: 20, deployed: { exchangeCount: 240 } }).startAll();
    simulation.run(3_000);
    const cells = namesOf(60).slice(1);
    const before = { ...simulation.counts };
    simulation.killCell("a");
    const ms = simulation.until(
      () => cells.every((cell) => simulation.view(cell).coordinator === "b" && ownersIn(simulation, cell).includes("b")),
      4_000,
    );
    expect(ms).toBeLessThan(1_500);
    simulation.run(2_000);
    const perSecond = (simulation.counts.heartbeats - before.heartbeats) / ((ms + 2_000) / 1_000);
    // A beat of each to each, and what there is to tell besides.
    expect(perSecond).toBeLessThan(2 * 60 * 59);
  });
});
