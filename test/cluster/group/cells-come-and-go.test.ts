import { describe, expect, it } from "vitest";
import type { MapCell } from "../../../cluster/map/cluster-map.ts";
import { cellAdded, cellLeaving, cellRemoved } from "../../../cluster/map/map-change.ts";
import { groupMap } from "./group-map.ts";
import { Simulation } from "./group-simulation.ts";

const exchangeCount = 12;
const added: MapCell = { id: "c", url: "http://c.invalid" };

/** Cells a, b and c of which a and b are in the map; c has started, and waits. */
function running(): Simulation {
  const deployed = { ...groupMap(["a", "b"]), exchangeCount };
  const simulation = new Simulation({ cells: 3, gateways: 1, deployed }).startAll();
  return simulation.run(3_000);
}

function add(simulation: Simulation, by = "a"): void {
  simulation.tell(by, (group, now) => group.changeMap({ cells: cellAdded(group.map, added) }, now));
}

function leave(simulation: Simulation): void {
  simulation.tell("a", (group, now) => group.changeMap({ cells: cellLeaving(group.map, "c") }, now));
}

function remove(simulation: Simulation): void {
  simulation.tell("a", (group, now) => group.changeMap({ cells: cellRemoved(group.map, "c") }, now));
}

function replicasIn(simulation: Simulation, cell: string): number {
  return (simulation.mapOf("a")?.assignments ?? []).filter((each) => [each.primary, each.secondary].includes(cell)).length;
}

function membersOf(simulation: Simulation, cell: string): string {
  return simulation
    .view(cell)
    .cells.map(({ id, state }) => `${id} ${state}`)
    .join(", ");
}

/** Three members, each with its share. */
function grown(): Simulation {
  const simulation = running();
  add(simulation);
  simulation.until(() => replicasIn(simulation, "c") === (2 * exchangeCount) / 3, 60_000);
  return simulation.run(3_000);
}

/** Cell c has nothing any more, and has been removed. */
function shrunk(): Simulation {
  const simulation = grown();
  leave(simulation);
  simulation.until(() => replicasIn(simulation, "c") === 0, 60_000);
  remove(simulation);
  return simulation.run(2_000);
}

describe("a cell that is added", () => {
  it("waits without a word until it is in the map, then it is a member everywhere, and gets its share step by step", () => {
    const simulation = running();
    expect(["a", "b"].map((cell) => membersOf(simulation, cell))).toEqual(["a up, b up", "a up, b up"]);
    const { heartbeats } = simulation.counts;
    simulation.run(5_000);
    // Those of a and b to each other.
    expect(simulation.counts.heartbeats - heartbeats).toBe(10);
    add(simulation);
    simulation.run(2_000);
    for (const cell of ["a", "b", "c"]) expect(membersOf(simulation, cell)).toBe("a up, b up, c up");
    expect(simulation.mapOf("c")?.founders).toEqual(["a", "b"]);
    simulation.until(() => replicasIn(simulation, "c") === 8, 60_000);
    expect(["a", "b"].map((cell) => replicasIn(simulation, cell))).toEqual([8, 8]);
  });

  it("is given nothing while it does not run, and its share when it does", () => {
    const simulation = running();
    simulation.killCell("c");
    add(simulation);
    simulation.run(60_000);
    expect([membersOf(simulation, "a"), replicasIn(simulation, "c")]).toEqual(["a up, b up, c down", 0]);
    simulation.startCell("c");
    simulation.until(() => replicasIn(simulation, "c") === 8, 60_000);
  });
});

describe("a cell that is removed", () => {
  it("is told so, is nobody's member any more, and rests", () => {
    const simulation = shrunk();
    for (const cell of ["a", "b"]) expect(membersOf(simulation, cell)).toBe("a up, b up");
    expect(simulation.mapOf("c")).toMatchObject({ former: ["c"], cells: [{ id: "a" }, { id: "b" }] });
    const { heartbeats } = simulation.counts;
    simulation.run(5_000);
    expect(simulation.counts.heartbeats - heartbeats).toBe(10);
    expect(simulation.view("a").cells).toHaveLength(2);
  });

  it("asks on for the newest map as long as something is left in it", () => {
    const simulation = shrunk();
    simulation.tell("c", (group) => group.setLeft(true));
    simulation.tell("a", (group, now) => group.changeMap({ heartbeat: { periodMs: 700, missed: 3 } }, now));
    simulation.run(3_000);
    expect(simulation.mapOf("c")?.heartbeat.periodMs).toBe(700);
    simulation.tell("c", (group) => group.setLeft(false));
    simulation.tell("a", (group, now) => group.changeMap({ heartbeat: { periodMs: 900, missed: 3 } }, now));
    simulation.run(3_000);
    expect(simulation.mapOf("c")?.heartbeat.periodMs).toBe(700);
  });

  it("is told when it comes back from the dead, and is no member then either", () => {
    const simulation = grown();
    simulation.killCell("c");
    leave(simulation);
    // What leaves and is down is not waited for.
    simulation.until(() => replicasIn(simulation, "c") === 0, 15_000);
    remove(simulation);
    simulation.run(10_000);
    simulation.startCell("c");
    simulation.run(3_000);
    expect(simulation.mapOf("c")?.former).toEqual(["c"]);
    for (const cell of ["a", "b"]) expect(membersOf(simulation, cell)).toBe("a up, b up");
  });

  it("is told too when it has written newer maps alone, on its side of a cut", () => {
    const simulation = grown();
    simulation.cutApart(["c"], ["a", "b", "g1"]);
    leave(simulation);
    simulation.until(() => replicasIn(simulation, "c") === 0, 60_000);
    remove(simulation);
    const version = simulation.mapOf("a")?.version ?? 0;
    for (let each = 0; each < 50; each += 1)
      simulation.tell("c", (group, now) => group.changeMap({ heartbeat: { periodMs: 1_000 + each, missed: 3 } }, now));
    expect(simulation.mapOf("c")?.version).toBeGreaterThan(version);
    simulation.heal();
    simulation.run(5_000);
    for (const cell of ["a", "b"]) expect(membersOf(simulation, cell)).toBe("a up, b up");
    expect(simulation.mapOf("c")).toEqual(simulation.mapOf("a"));
    expect(simulation.mapOf("b")).toEqual(simulation.mapOf("a"));
  });

  it("may be added again, under the name that it had, and by whichever cell is asked", () => {
    const simulation = shrunk();
    add(simulation, "b");
    simulation.until(() => replicasIn(simulation, "c") === 8, 60_000);
    for (const cell of ["a", "b", "c"]) expect(membersOf(simulation, cell)).toBe("a up, b up, c up");
    expect(simulation.mapOf("a")).toMatchObject({ former: [], founders: ["a", "b"] });
  });

  it("may have its name given to one elsewhere: it is found there by those too that were deployed with the old one, also after a restart", () => {
    const deployed = { ...groupMap(["a", "b", "c"]), exchangeCount };
    const simulation = new Simulation({ cells: 3, gateways: 1, deployed }).startAll().run(3_000);
    leave(simulation);
    simulation.until(() => simulation.mapOf("a")?.assignments !== undefined && replicasIn(simulation, "c") === 0, 60_000);
    remove(simulation);
    simulation.run(2_000);
    const url = "http://new.invalid";
    simulation.tell("a", (group, now) => group.changeMap({ cells: cellAdded(group.map, { ...added, url }) }, now));
    simulation.run(2_000);
    simulation.killCell("b");
    simulation.startCell("b");
    simulation.run(2_000);
    for (const cell of ["a", "b"])
      expect(
        simulation
          .mapOf(cell)
          ?.cells.map((each) => each.url)
          .at(-1),
      ).toBe(url);
  });
});
