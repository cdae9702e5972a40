import { describe, expect, it } from "vitest";
import { Simulation } from "./group-simulation.ts";

/** A system in which everybody has found everybody. */
function running(cells = 3): Simulation {
  const simulation = new Simulation({ cells, gateways: 1 }).startAll();
  simulation.run(2_500);
  return simulation;
}

/** Who has not answered a cell since it is what it is. */
function unheardBy(simulation: Simulation, cell: string): readonly string[] | undefined {
  return simulation
    .group(cell)
    .status(simulation.now)
    .cells.find(({ id }) => id === cell)?.unheardBy;
}

describe("what a cell says of who has heard what it is", () => {
  it("is nobody while nothing changes, and says nothing of others", () => {
    const simulation = running();
    for (const cell of ["a", "b", "c"]) expect(unheardBy(simulation, cell)).toEqual([]);
    const { cells } = simulation.group("a").status(simulation.now);
    expect(cells.filter(({ unheardBy: unheard }) => unheard !== undefined).map(({ id }) => id)).toEqual(["a"]);
  });

  it("has all others at first, and none when they see it as it is", () => {
    const simulation = running();
    for (const isDraining of [true, false]) {
      simulation.drain("a", isDraining);
      expect(unheardBy(simulation, "a")).toEqual(["b", "c"]);
      expect(simulation.until(() => unheardBy(simulation, "a")?.length === 0, 1_000)).toBeLessThan(200);
      for (const by of ["b", "c"]) expect(simulation.stateOf("a", by)).toBe(isDraining ? "draining" : "up");
    }
  });

  it("has one that is cut off until that is down, and again when it is back", () => {
    const simulation = running();
    simulation.cut("a", "b");
    simulation.drain("a", true);
    simulation.run(500);
    expect([unheardBy(simulation, "a"), simulation.stateOf("a", "b")]).toEqual([["b"], "up"]);
    simulation.until(() => simulation.stateOf("b", "a") === "down", 10_000);
    expect(unheardBy(simulation, "a")).toEqual([]);
    simulation.heal();
    simulation.until(() => simulation.stateOf("b", "a") === "up", 5_000);
    expect(simulation.until(() => unheardBy(simulation, "a")?.length === 0, 5_000)).toBeLessThan(2_000);
    expect(simulation.stateOf("a", "b")).toBe("draining");
  });

  it("has one that was started anew: what it had heard it has lost", () => {
    const simulation = running(2);
    simulation.killCell("b");
    simulation.startCell("b");
    simulation.until(() => unheardBy(simulation, "a")?.includes("b") === true, 2_000);
    simulation.until(() => unheardBy(simulation, "a")?.length === 0, 5_000);
    expect(simulation.stateOf("a", "b")).toBe("up");
  });
});
