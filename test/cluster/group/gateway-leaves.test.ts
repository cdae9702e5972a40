import { describe, expect, it } from "vitest";
import { Simulation, type SimulationOptions } from "./group-simulation.ts";

/** A system in which everybody has found everybody. */
function running(options: Partial<SimulationOptions> = {}): Simulation {
  const simulation = new Simulation({ cells: 2, gateways: 2, ...options }).startAll();
  simulation.run(2_500);
  return simulation;
}

describe("a gateway that is stopped in order", () => {
  it("has left, and is shown no more after a minute; one that died is down until it is back", () => {
    const simulation = running({ gateways: 3 });
    const shownBy = (cell: string): string[] =>
      simulation
        .group(cell)
        .status(simulation.now)
        .gateways.map(({ id, state }) => `${id} ${state}`);
    simulation.stopGateway("g1");
    simulation.killGateway("g2");
    simulation.run(1_000);
    for (const cell of ["a", "b"]) expect(shownBy(cell)).toEqual(["g1 left", "g2 down", "g3 up"]);
    expect(simulation.history("a").find(({ id, to }) => id === "g1" && to === "down")).toMatchObject({
      cause: "closed socket",
      detail: "it said that it ends",
    });
    // A cell that starts meanwhile knows it from its disk, and takes nobody's word for less.
    simulation.killCell("b");
    simulation.run(20_000);
    simulation.startCell("b");
    simulation.run(10_000);
    expect(shownBy("a")).toEqual(["g1 left", "g2 down", "g3 up"]);
    simulation.run(30_000);
    for (const cell of ["a", "b"]) expect(shownBy(cell)).toEqual(["g2 down", "g3 up"]);
    simulation.run(600_000);
    for (const cell of ["a", "b"]) expect(shownBy(cell)).toEqual(["g2 down", "g3 up"]);
    simulation.startGateway("g1");
    simulation.startGateway("g2");
    simulation.run(2_000);
    for (const cell of ["a", "b"]) expect(shownBy(cell)).toEqual(["g1 up", "g2 up", "g3 up"]);
    simulation.killGateway("g1");
    simulation.run(100_000);
    for (const cell of ["a", "b"]) expect(shownBy(cell)).toEqual(["g1 down", "g2 up", "g3 up"]);
  });

  it("has left for a cell that was away as well, which hears it from the others", () => {
    const simulation = running();
    simulation.killCell("b");
    simulation.run(1_000);
    simulation.stopGateway("g1");
    simulation.run(100_000);
    simulation.startCell("b");
    simulation.run(10_000);
    const shown = ["a", "b"].map((cell) =>
      simulation
        .group(cell)
        .status(simulation.now)
        .gateways.map(({ id, state }) => `${id} ${state}`),
    );
    expect(shown).toEqual([["g2 up"], ["g1 left", "g2 up"]]);
  });

  it("does not fence a cell that is alone; one that dies does", () => {
    const simulation = running({ gateways: 1 });
    simulation.stopGateway("g1");
    simulation.killCell("b");
    simulation.run(100_000);
    expect(simulation.isFenced("a")).toBe(false);
    simulation.startGateway("g1");
    simulation.run(2_000);
    simulation.killGateway("g1");
    simulation.run(2_000);
    expect(simulation.isFenced("a")).toBe(true);
  });
});
