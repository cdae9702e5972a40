import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MapCell } from "../../../cluster/map/cluster-map.ts";
import { BalancedWorld, cellsOf } from "./balanced-world.ts";

describe("a group that is as it should be", () => {
  it.each([
    [2, 2],
    [2, 5],
    [3, 6],
    [4, 24],
    [6, 24],
  ])("of %i cells and %i exchanges is left alone", (cells, exchanges) => {
    const world = new BalancedWorld(cellsOf(cells), exchanges).settle();
    expect(world).toMatchObject({ steps: 0, begun: 0, turned: 0 });
  });

  it("of two cells stays so when one of them dies: there is nobody else", () => {
    const world = new BalancedWorld(cellsOf(2), 8);
    world.stands("b", "gone");
    expect(world.settle().steps).toBe(0);
    world.stands("b", "up");
    expect(world.settle().steps).toBe(0);
  });
});

describe("a cell that dies", () => {
  it.each([true, false])("is waited for, then replaced evenly among those left; copied: %s", (copies) => {
    const world = new BalancedWorld(cellsOf(4), 24, copies);
    world.stands("b", "away");
    expect(world.settle().steps).toBe(0);
    world.stands("b", "gone");
    world.settle();
    expect(world.single).toEqual([]);
    expect(world.begun).toBe(12);
    expect(["a", "c", "d"].map((cell) => world.replicasOf(cell))).toEqual([16, 16, 16]);
    expect(["a", "c", "d"].map((cell) => world.primariesOf(cell))).toEqual([8, 8, 8]);
  });

  it("and another one after it: nothing is single, nothing is unserved", () => {
    const world = new BalancedWorld(cellsOf(4), 24);
    for (const cell of ["b", "c"]) {
      world.stands(cell, "gone");
      world.settle();
    }
    expect(world.single).toEqual([]);
    expect(world.replicasOf("a")).toBe(24);
    expect(world.replicasOf("d")).toBe(24);
  });

  it("takes exchanges along whose other replica has died with it, and nobody makes them anew of nothing", () => {
    const world = new BalancedWorld(cellsOf(4), 24);
    const lost = world.assignments.filter(({ primary, secondary }) => isDead(primary) && isDead(secondary));
    const halved = world.assignments.filter(({ primary, secondary }) => isDead(primary) !== isDead(secondary));
    world.stands("b", "gone");
    world.stands("c", "gone");
    world.settle();
    expect(lost.length).toBeGreaterThan(0);
    for (const assignment of lost) expect(world.assignments).toContainEqual(assignment);
    expect(world.begun).toBe(halved.length);
  });

  it("and comes back gets its share again, with as few moves as that takes", () => {
    const world = new BalancedWorld(cellsOf(4), 24);
    world.stands("b", "gone");
    world.settle();
    const before = world.begun;
    world.stands("b", "up");
    world.settle();
    expect(world.begun - before).toBe(12);
    expect(world.overs().every(({ replicas, primaries }) => replicas === 0 && primaries === 0)).toBe(true);
  });
});

describe("weights", () => {
  it("of 70 and 30 give primaries 70 and 30 to two cells, and all replicas to both", () => {
    const world = new BalancedWorld(
      cellsOf(2, (index) => ({ weight: index === 0 ? 70 : 30 })),
      10,
    ).settle();
    expect([world.primariesOf("a"), world.primariesOf("b")]).toEqual([7, 3]);
    expect(world).toMatchObject({ begun: 0, turned: 2 });
  });

  it("of 70 and 30 for two cells each give the same to four", () => {
    const world = new BalancedWorld(
      cellsOf(4, (index) => ({ weight: index < 2 ? 70 : 30 })),
      40,
    ).settle();
    expect(["a", "b", "c", "d"].map((cell) => [world.replicasOf(cell), world.primariesOf(cell)])).toEqual([
      [28, 14],
      [28, 14],
      [12, 6],
      [12, 6],
    ]);
  });

  it("of 0 empty a cell, which can be removed then", () => {
    const world = new BalancedWorld(cellsOf(4), 24);
    world.cells = world.cells.map((cell) => (cell.id === "c" ? { ...cell, weight: 0 } : cell));
    world.settle();
    expect(world.replicasOf("c")).toBe(0);
    expect(world.begun).toBe(12);
    const { steps } = world;
    world.cells = world.cells.filter(({ id }) => id !== "c");
    expect(world.settle().steps).toBe(steps);
  });

  it("without copies only primaries change", () => {
    const world = new BalancedWorld(
      cellsOf(4, (index) => ({ weight: index + 1 })),
      24,
      false,
    ).settle();
    expect(world.begun).toBe(0);
    expect(world.turned).toBeGreaterThan(0);
  });
});

describe("hosts and locations", () => {
  it("keep replicas apart, also where that costs balance", () => {
    const world = new BalancedWorld(
      cellsOf(3, (index) => ({ host: index === 2 ? "two" : "one" })),
      12,
    ).settle();
    expect(world.crowded()).toEqual([]);
    expect(["a", "b", "c"].map((cell) => [world.replicasOf(cell), world.primariesOf(cell)])).toEqual([
      [6, 4],
      [6, 4],
      [12, 4],
    ]);
  });

  it("of locations count more than hosts, and one location is none", () => {
    const places = ["x", "x", "y", "y"];
    const world = new BalancedWorld(
      cellsOf(4, (index) => ({ host: `h${index % 2}`, location: places[index] ?? "" })),
      12,
    ).settle();
    expect(world.crowded()).toEqual([]);
    world.stands("c", "gone");
    world.stands("d", "gone");
    world.settle();
    expect(world.crowded()).toEqual([]);
  });
});

describe("what is under way", () => {
  it("is gone on with when the primary dies, and ended when the one that joins does", () => {
    const world = new BalancedWorld(cellsOf(5), 10);
    world.stands("e", "gone");
    world.settle();
    world.stands("e", "up");
    world.step();
    const moving = world.assignments.findIndex(({ joining }) => joining === "e");
    const { primary = "", secondary = "" } = world.assignments[moving] ?? {};
    expect(moving).toBeGreaterThanOrEqual(0);
    world.stands("e", "gone");
    world.step();
    expect(world.assignments[moving]).toMatchObject({ primary, secondary });
    world.stands("e", "up");
    world.settle();
    world.stands("e", "gone");
    world.settle();
    world.stands("e", "up");
    world.step();
    const again = world.assignments.findIndex(({ joining }) => joining === "e");
    const was = world.assignments[again];
    if (was === undefined) throw new Error("nothing moves");
    world.stands(was.primary, "gone");
    world.settle();
    expect(world.single).toEqual([]);
    expect(world.assignments[again]?.primary).not.toBe(was.primary);
  });
});

const weight = fc.constantFrom(undefined, 1, 1, 2, 3, 7);
const place = fc.constantFrom(undefined, "one", "two", "three");
const groups = fc.record({
  cells: fc.array(fc.record({ weight, host: place, location: fc.option(place, { freq: 3 }) }), { minLength: 2, maxLength: 12 }),
  perCell: fc.integer({ min: 1, max: 8 }),
  copies: fc.constantFrom(true, true, true, false),
});
const events = fc.array(
  fc.record({
    what: fc.constantFrom("dies", "dies", "returns", "is added", "is removed", "is weighed"),
    which: fc.nat(11),
    weight,
    steps: fc.nat(6),
  }),
  { maxLength: 12 },
);

describe("any group", () => {
  it("comes to rest after any events, with nobody above its share by more than one and nobody's last memory gone", () => {
    fc.assert(
      fc.property(groups, events, ({ cells, perCell, copies }, plan) => {
        const given = cellsOf(cells.length, (index) => clean(cells[index]));
        const world = new BalancedWorld(given, perCell * cells.length, copies).settle();
        let next = cells.length;
        for (const { what, which, steps, ...more } of plan) {
          const cell = world.cells[which % world.cells.length];
          if (cell === undefined) continue;
          if (what === "dies") world.stands(cell.id, "gone");
          else if (what === "returns") world.stands(cell.id, "up");
          else if (what === "is added") world.cells = [...world.cells, { id: `n${(next += 1)}`, url: "http://x", ...clean(more) }];
          else if (what === "is weighed") world.cells = world.cells.map((each) => (each === cell ? { ...each, weight: which % 4 } : each));
          else if (world.cells.length > 2 && world.replicasOf(cell.id) === 0) world.cells = world.cells.filter((each) => each !== cell);
          for (let step = 0; step < steps; step += 1) world.step();
        }
        for (const { id } of world.cells) world.stands(id, "up");
        world.settle();
        expect(world.single).toEqual([]);
        // Where nothing is copied, or is nobody who could take it, things stay where they are.
        if (!copies || world.cells.filter((each) => each.weight !== 0).length < 2) return;
        expect(world.crowded()).toEqual([]);
        const overs = world.overs();
        expect(Math.max(...overs.map(({ replicas }) => replicas))).toBeLessThanOrEqual(1 + 1e-6);
        expect(Math.max(...overs.map(({ primaries }) => primaries))).toBeLessThanOrEqual(1 + 1e-6);
      }),
      { numRuns: 150 },
    );
  });

  it("begins about as many replicas as a death, a return or a newcomer needs, and none twice", () => {
    fc.assert(
      fc.property(groups, fc.nat(11), fc.boolean(), ({ cells, perCell }, which, isDeath) => {
        const given = cellsOf(cells.length, (index) => clean(cells[index]));
        const world = new BalancedWorld(given, perCell * cells.length).settle();
        const chosen = given[which % given.length]?.id ?? "a";
        const before = world.begun;
        const had = new Map(world.cells.map(({ id }) => [id, world.replicasOf(id)]));
        if (isDeath) world.stands(chosen, "gone");
        else world.cells = [...world.cells, { id: "n", url: "http://x" }];
        world.settle();
        const forced = world.cells.reduce((sum, { id }) => sum + Math.max(0, (had.get(id) ?? 0) - world.replicasOf(id)), 0);
        // Where places keep replicas apart, some go by way of a third cell.
        const hasPlaces = given.some(({ host, location }) => host !== undefined || location !== undefined);
        expect(world.begun - before).toBeLessThanOrEqual((hasPlaces ? 2 : 1) * forced + world.cells.length);
      }),
      { numRuns: 150 },
    );
  });
});

type Given = { readonly weight?: number | undefined; readonly host?: string | undefined; readonly location?: string | null | undefined };

/** Without what is not given. */
function clean(given: Given = {}): Partial<MapCell> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== null));
}

function isDead(cell: string): boolean {
  return cell === "b" || cell === "c";
}
