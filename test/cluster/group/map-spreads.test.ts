import { describe, expect, it } from "vitest";
import type { Assignment } from "../../../cluster/map/cluster-map.ts";
import { cellName, Simulation, type SimulationOptions } from "./group-simulation.ts";

const assignments: readonly Assignment[] = [
  { primary: "a", secondary: "c" },
  { primary: "b", secondary: "a" },
  { primary: "c", secondary: "b" },
];
const others: readonly Assignment[] = assignments.map(({ primary, secondary }) => ({ primary: secondary, secondary: primary }));

function running(options: Partial<SimulationOptions> = {}): Simulation {
  const simulation = new Simulation({ cells: 3, gateways: 0, ...options }).startAll();
  simulation.run(2_500);
  return simulation;
}

function write(simulation: Simulation, cell: string, change: readonly Assignment[]): void {
  simulation.tell(cell, (group, now) => group.changeMap({ assignments: change }, now));
}

function versionsOf(simulation: Simulation, cells: readonly string[]): string[] {
  return cells.map((cell) => {
    const { version = 0, writer = "" } = simulation.mapOf(cell) ?? {};
    return `${version} ${writer}`;
  });
}

describe("the map of a core group", () => {
  it("is known everywhere some milliseconds after it was written, and brought to nobody twice", () => {
    const simulation = running({ cells: 6 });
    const cells = Array.from({ length: 6 }, (_, index) => cellName(index));
    // As even as can be: the coordinator has nothing to add.
    const even = cells.map((primary, index) => ({ primary, secondary: cellName((index + 5) % 6) }));
    write(simulation, "b", even);
    expect(simulation.until(() => cells.every((cell) => simulation.mapOf(cell)?.writer === "b"), 1_000)).toBeLessThan(100);
    for (const cell of cells) expect(simulation.mapOf(cell)).toMatchObject({ version: 2, writer: "b", assignments: even, statedAt: 1 });
    const { maps } = simulation.counts;
    expect(maps).toBeGreaterThanOrEqual(5);
    simulation.run(10_000);
    expect(simulation.counts.maps).toBe(maps);
  });

  it("outlives the cell that wrote it, from the moment on in which that says that another one has it", () => {
    const answeredAfter: number[] = [];
    for (let diesAfterMs = 0; diesAfterMs < 120; diesAfterMs += 1) {
      const simulation = running({ latencyMs: 7 });
      write(simulation, "a", assignments);
      simulation.run(diesAfterMs);
      const isAnswered = simulation.group("a").spread === "all";
      simulation.killCell("a");
      simulation.run(5_000);
      if (!isAnswered) continue;
      answeredAfter.push(diesAfterMs);
      expect(["b", "c"].map((cell) => simulation.mapOf(cell)?.assignments)).toEqual([assignments, assignments]);
    }
    // The way there and back.
    expect(answeredAfter[0]).toBeGreaterThanOrEqual(14);
    expect(answeredAfter.length).toBeGreaterThan(60);
  });

  it("comes to a cell that was away, and from one that has kept it while all others forgot", () => {
    const simulation = running();
    simulation.killCell("c");
    write(simulation, "a", assignments);
    simulation.run(5_000);
    simulation.startCell("c");
    simulation.run(2_000);
    expect(simulation.mapOf("c")).toEqual(simulation.mapOf("a"));
    for (const cell of ["a", "b", "c"]) simulation.killCell(cell);
    for (const cell of ["a", "b"]) simulation.forgetMap(cell);
    simulation.startAll();
    simulation.run(2_000);
    expect(versionsOf(simulation, ["a", "b", "c"])).toEqual(["2 a", "2 a", "2 a"]);
  });

  it("is the higher one everywhere when the two sides of a cut have written, and the next version is above both", () => {
    const simulation = running();
    simulation.cutApart(["a"], ["b", "c"]);
    write(simulation, "a", assignments);
    write(simulation, "b", others);
    simulation.run(5_000);
    // The second side has given itself the service that a cell of the first has.
    expect(versionsOf(simulation, ["a", "b", "c"])).toEqual(["2 a", "3 b", "3 b"]);
    simulation.heal();
    simulation.run(2_000);
    expect(versionsOf(simulation, ["a", "b", "c"])).toEqual(["3 b", "3 b", "3 b"]);
    expect(simulation.mapOf("a")?.assignments).toEqual(others);
    write(simulation, "c", assignments);
    simulation.run(2_000);
    expect(versionsOf(simulation, ["a", "b", "c"])).toEqual(["4 c", "4 c", "4 c"]);
  });

  it("says who the members are: one that it leaves out is forgotten, one that it adds is heard", () => {
    const simulation = running();
    const inTwo = assignments.map(() => ({ primary: "a", secondary: "b" }));
    simulation.tell("a", (group, now) =>
      group.changeMap({ cells: group.map.cells.filter(({ id }) => id !== "c"), assignments: inTwo }, now),
    );
    simulation.run(2_000);
    for (const cell of ["a", "b"]) expect(simulation.view(cell).cells.map(({ id }) => id)).toEqual(["a", "b"]);
    simulation.tell("b", (group, now) => group.changeMap({ cells: [...group.map.cells, { id: "c", url: "http://c.invalid" }] }, now));
    simulation.run(2_000);
    for (const cell of ["a", "b", "c"]) expect(simulation.stateOf("c", cell)).toBe("up");
  });
});

describe("a cell of the release before", () => {
  it("hears of other settings, and of nothing else; what it changes itself all make the same map of", () => {
    const simulation = running({ earlier: ["c"] });
    write(simulation, "a", assignments);
    simulation.tell("a", (group, now) => group.changeMap({ heartbeat: { periodMs: 500, missed: 4 } }, now));
    simulation.run(2_000);
    expect(simulation.view("c").heartbeat).toEqual({ periodMs: 500, missed: 4 });
    expect(simulation.mapOf("c")?.assignments).toBeUndefined();
    simulation.tell("c", (group, now) => group.changeMap({ heartbeat: { periodMs: 700, missed: 4 } }, now));
    simulation.run(2_000);
    expect(simulation.mapOf("a")).toEqual(simulation.mapOf("b"));
    expect(simulation.mapOf("a")).toMatchObject({ heartbeat: { periodMs: 700, missed: 4 }, assignments });
    expect(simulation.stateOf("c", "a")).toBe("up");
  });
});
