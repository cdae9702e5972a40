import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { assignSingletons, type Candidate, ownersOf, singletonsOf } from "../../../cluster/group/singletons.ts";
import type { Policy } from "../../../cluster/map/singleton.ts";
import { ActingCells } from "./acting-cells.ts";
import { Simulation } from "./group-simulation.ts";

const cells = ["a", "b", "c", "d"];

/** A group of four whose service has this policy, and that nobody does yet. */
function running(policy: Policy, owners: readonly string[] = []): { readonly simulation: Simulation; readonly acting: ActingCells } {
  const singletons = [{ name: "call-records", policy, owners, since: { epoch: 1, writer: "" } }];
  const simulation = new Simulation({ cells: 4, gateways: 0, deployed: { singletons } }).startAll();
  const acting = new ActingCells(simulation, cells);
  acting.run(4_000);
  return { simulation, acting };
}

/** The owners, as a cell knows them. */
function ownersIn(simulation: Simulation, cell: string): string {
  return singletonsOf(simulation.group(cell).map)
    .flatMap(({ owners }) => owners)
    .join(" ");
}

/**
 * The owners at the start, when the first of them was killed, and when it is back; on the two sides of a cut between a and the others, and when they have
 * met. The side that has written more maps wins then.
 */
type Row = {
  readonly policy: Policy;
  readonly first?: readonly string[];
  readonly start: string;
  readonly killed: string;
  readonly back: string;
  readonly sides: readonly [a: string, d: string];
  readonly healed: string;
};

const rows: readonly (Row & { readonly name: string })[] = [
  { name: "One of N", policy: { kind: "one of N" }, start: "a", killed: "b", back: "b", sides: ["a", "b"], healed: "b" },
  {
    name: "One of N, preferred",
    policy: { kind: "one of N", preferred: ["c", "b"] },
    start: "c",
    killed: "b",
    back: "b",
    sides: ["a", "c"],
    healed: "a",
  },
  {
    name: "One of N, preferred, with failback",
    policy: { kind: "one of N", preferred: ["c", "b"], failback: true },
    start: "c",
    killed: "b",
    back: "c",
    sides: ["a", "c"],
    healed: "c",
  },
  {
    name: "One of N, preferred only",
    policy: { kind: "one of N", preferred: ["d"], preferredOnly: true },
    start: "d",
    killed: "",
    back: "d",
    sides: ["", "d"],
    healed: "d",
  },
  {
    name: "One of N, quorum",
    policy: { kind: "one of N", quorum: true },
    start: "a",
    killed: "b",
    back: "b",
    sides: ["", "b"],
    healed: "a",
  },
  { name: "M of N", policy: { kind: "M of N", count: 2 }, start: "a b", killed: "b c", back: "b c", sides: ["a", "b c"], healed: "a b" },
  {
    name: "M of N, failback",
    policy: { kind: "M of N", count: 2, preferred: ["a", "d"], failback: true },
    start: "a d",
    killed: "b d",
    back: "a d",
    sides: ["a", "b d"],
    healed: "a d",
  },
  {
    name: "All active",
    policy: { kind: "all active" },
    start: "a b c d",
    killed: "b c d",
    back: "a b c d",
    sides: ["a", "b c d"],
    healed: "a b c d",
  },
  {
    name: "All active, quorum",
    policy: { kind: "all active", quorum: true },
    start: "a b c d",
    killed: "b c d",
    back: "a b c d",
    sides: ["", "b c d"],
    healed: "a b c d",
  },
  {
    name: "Static",
    policy: { kind: "static", members: ["d", "b"] },
    start: "b d",
    killed: "b d",
    back: "b d",
    sides: ["b d", "b d"],
    healed: "b d",
  },
  {
    name: "No operation",
    policy: { kind: "no operation" },
    first: ["c"],
    start: "c",
    killed: "c",
    back: "c",
    sides: ["c", "c"],
    healed: "c",
  },
];

/** The rows as docs/services.md shows them. */
const shown = rows.map(({ name, start, killed, back, sides, healed }) =>
  // Whoever stands still is replaced as one that has died, and comes back as one.
  [name, start, killed, back, killed, back, ...sides, healed].map((owners) => (owners === "" ? "nobody" : owners)),
);

it("is what docs/services.md shows", () => {
  const document = readFileSync(new URL("../../../docs/services.md", import.meta.url), "utf8");
  const lines = document.split("\n").filter((line) => line.startsWith("|"));
  const table = lines.slice(2).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  expect(table).toEqual(shown);
});

/** One that is none of the first owners. */
function witness(owners: string): string {
  return cells.find((cell) => !owners.startsWith(cell)) ?? "d";
}

describe.each(rows)("$name", ({ policy, first, start, killed, back, sides, healed }) => {
  /** Of One of N nobody but one has acted in any epoch. */
  function check({ ownersByEpoch }: ActingCells): void {
    expect(ownersByEpoch.size).toBeGreaterThan(0);
    const together = [...ownersByEpoch].filter(([, owners]) => owners.size > 1).map(([epoch]) => epoch);
    expect(policy.kind === "one of N" ? together : []).toEqual([]);
  }

  it("kill and rejoin", () => {
    const { simulation, acting } = running(policy, first);
    expect(ownersIn(simulation, "a")).toBe(start);
    const owner = start.slice(0, 1);
    const other = witness(start);
    simulation.killCell(owner);
    acting.run(2_000);
    expect(ownersIn(simulation, other)).toBe(killed);
    simulation.startCell(owner);
    acting.run(4_000);
    for (const cell of cells) expect(ownersIn(simulation, cell)).toBe(back);
    check(acting);
  });

  it("freeze and thaw: what the frozen one writes when it goes on is refused, where somebody does it in its place", () => {
    const { simulation, acting } = running(policy, first);
    const owner = start.slice(0, 1);
    simulation.freezeCell(owner);
    acting.run(5_100);
    expect(ownersIn(simulation, witness(start))).toBe(killed);
    acting.act(owner, true);
    simulation.thawCell(owner);
    // It reaches the others, and itself.
    const isReplaced = killed !== start && killed !== "";
    expect(acting.refused.get(owner) ?? 0).toBe(isReplaced ? 3 : 0);
    acting.run(4_000);
    for (const cell of cells) expect(ownersIn(simulation, cell)).toBe(back);
    check(acting);
  });

  it("cut, and both sides meet again", () => {
    const { simulation, acting } = running(policy, first);
    simulation.cutApart(["a"], ["b", "c", "d"]);
    acting.run(6_000);
    expect([ownersIn(simulation, "a"), ownersIn(simulation, "b"), ownersIn(simulation, "d")]).toEqual([sides[0], sides[1], sides[1]]);
    simulation.heal();
    acting.run(4_000);
    for (const cell of cells) expect(ownersIn(simulation, cell)).toBe(healed);
    check(acting);
  });

  it("a cut between two of them alone changes nothing", () => {
    const { simulation, acting } = running(policy, first);
    const before = simulation.group("d").map;
    simulation.cut("a", "b");
    acting.run(10_000);
    simulation.heal();
    acting.run(4_000);
    for (const cell of cells) expect(simulation.group(cell).map).toEqual(before);
    check(acting);
  });
});

/** A cell that is up. */
function up(id: string, isFit = true): Candidate {
  return { id, state: "up", isFit };
}

describe("an owner by the map of the side that wins", () => {
  it("gets a new epoch when the other side had a later one, and is refused no more", () => {
    const { simulation, acting } = running({ kind: "one of N" });
    simulation.cutApart(["a"], ["b", "c", "d"]);
    acting.run(6_000);
    expect([ownersIn(simulation, "a"), ownersIn(simulation, "b")]).toEqual(["a", "b"]);
    // The operator's changes make the map of the side with the older epoch the newer one.
    for (const healAfterMs of [41_000, 42_000, 43_000]) simulation.tell("a", (group, now) => group.changeMap({ healAfterMs }, now));
    simulation.heal();
    acting.run(5_000);
    for (const cell of cells) expect(ownersIn(simulation, cell)).toBe("a");
    expect(simulation.group("d").map.healAfterMs).toBe(43_000);
    const before = acting.refused.get("a") ?? 0;
    acting.run(5_000);
    expect(acting.refused.get("a") ?? 0).toBe(before);
    expect([...acting.ownersByEpoch.values()].filter((owners) => owners.size > 1)).toEqual([]);
  });

  it("gets one where that passes the other side's, so no invented epoch has maps written without end", () => {
    const map = { version: 5, cells: [{ id: "a" }, { id: "b" }] };
    const next = { epoch: 6, writer: "a" };
    const fencedAt = (epoch: number): unknown =>
      assignSingletons(map, () => [up("a"), up("b")], [{ name: "call-records", since: { epoch, writer: "b" } }], next);
    expect(fencedAt(5)).toEqual([{ name: "call-records", owners: ["a"], since: next }]);
    expect(fencedAt(Number.MAX_SAFE_INTEGER)).toBe(undefined);
  });
});

describe("who does a service", () => {
  it("leaves a cell that says that it cannot, and one that is taken out of service", () => {
    const policy: Policy = { kind: "one of N" };
    expect(ownersOf(policy, ["a"], [up("a", false), up("b")])).toEqual(["b"]);
    expect(ownersOf(policy, ["a"], [{ ...up("a"), state: "draining" }, up("b")])).toEqual(["b"]);
    expect(
      ownersOf(
        policy,
        ["a"],
        [
          { ...up("a"), state: "draining" },
          { ...up("b"), state: "joining" },
        ],
      ),
    ).toEqual(["a"]);
    expect(ownersOf(policy, ["a"], [up("a", false), up("b", false)])).toEqual([]);
  });

  it("a quorum is more than half of the cells of the map, and half of two is none", () => {
    const policy: Policy = { kind: "one of N", quorum: true };
    expect(ownersOf(policy, ["a"], [up("a"), { ...up("b"), state: "down" }])).toEqual([]);
    expect(ownersOf(policy, ["a"], [up("a"), up("b"), { ...up("c"), state: "down" }])).toEqual(["a"]);
  });
});
