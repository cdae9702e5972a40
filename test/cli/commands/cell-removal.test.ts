import { expect, it } from "vitest";
import { CellProgress } from "../../../cli/commands/cell-progress.ts";
import { checkRemoval, waitsFor } from "../../../cli/commands/cell-removal.ts";
import type { Group, MapAnswer } from "../../../schemas/api-answers.ts";

const map: MapAnswer = {
  version: 4,
  writer: "a",
  cells: ["a", "b", "c"].map((id) => ({ id, url: `http://${id}.invalid` })),
  exchangeCount: 3,
  assignments: [
    { primary: "a", secondary: "b" },
    { primary: "c", secondary: "a" },
    { primary: "b", secondary: "c" },
  ],
};

function groupOf(c: Partial<Group["members"][number]>, states: readonly Group["exchanges"][number]["state"][] = []): Group {
  const members = ["a", "b", "c"].map((id) => ({ id, kind: "cell" as const, state: "up" as const, ...(id === "c" ? c : {}) }));
  const exchanges = map.assignments.map((assignment, exchange) => ({
    exchange,
    ...assignment,
    state: states[exchange] ?? ("paired" as const),
  }));
  return {
    coordinator: "a",
    epoch: 1,
    map: { version: 4, writer: "a" },
    preferred: [],
    healAfterMs: 1_000,
    members,
    singletons: [],
    exchanges,
  };
}

const removal = (group: Group, isMeant: boolean, isOfHere: boolean): (() => void) => {
  return () => checkRemoval("c", map, group, { isMeant, isOfHere });
};

it("a cell that is down is removed when that is meant, and what becomes of what it has is said as it is", () => {
  const down = groupOf({ state: "down" });
  const most = "cell c is down, and may have what nobody else has: start it first, or say --yes; ";
  expect(removal(down, false, true)).toThrow(`${most}its directory is kept then, and nothing reads it`);
  expect(removal(down, false, false)).toThrow(`${most}then it hands that over, should it come back`);
  expect(removal(down, true, true)).not.toThrow();
  expect(removal(groupOf({}), false, true)).not.toThrow();
});

it("a cell is not removed when what it has would be in one cell, or is in none that answers", () => {
  const lessCells = { cells: map.cells.slice(1) };
  expect(() => checkRemoval("c", lessCells, groupOf({}), { isMeant: true, isOfHere: true })).toThrow(
    /^cell c stays: cell b alone would have to /,
  );
  expect(removal(groupOf({}, ["paired", "unserved"]), true, true)).toThrow(/^cell c stays: what exchange 1 knows is in cells c and a only/);
});

it("a cell is not removed while another one is late, and that is said as it is", () => {
  const group = groupOf({}, ["paired", "paired", "unknown"]);
  const exchanges = group.exchanges.map((each) => (each.state === "unknown" ? { ...each, cause: "cell b has not answered" } : each));
  expect(removal({ ...group, exchanges }, true, true)).toThrow(
    "cell c stays: it is not known who serves exchange 2, for cell b has not answered in time; try it again",
  );
  expect(removal(groupOf({}, ["unknown"]), true, true)).not.toThrow();
});

function waits(assignments: MapAnswer["assignments"], group: Group): string | undefined {
  return waitsFor("c", { assignments }, group);
}

it("who removes a cell is told what is waited for", () => {
  expect(waits(map.assignments, groupOf({}))).toBe("cell a, the coordinator, has begun no move yet");
  expect(waits(map.assignments, groupOf({}, ["single"]))).toBe("exchange 0 is single");
  expect(waits(map.assignments.with(1, { primary: "c", secondary: "a", joining: "b" }), groupOf({}))).toBe("exchange 1 to b on the way");
  const without = map.assignments.map(() => ({ primary: "a", secondary: "b" }));
  expect(waits(without, groupOf({ left: 1, softphonesLeft: 2 }))).toBe("cell c hands over what it has left of 1 exchange");
  expect(waits(without, groupOf({ softphonesLeft: 2 }))).toBe("2 softphones have not gone elsewhere");
});

it("moves that another command has asked for are not counted for a cell that leaves", () => {
  const said: string[] = [];
  const progress = new CellProgress(map, (text) => said.push(text));
  progress.look({ ...map, assignments: map.assignments.with(1, { primary: "a", secondary: "b" }) }, 1, "c");
  progress.look({ ...map, assignments: map.assignments.map(() => ({ primary: "b", secondary: "a" })) }, 0, "c");
  expect(said).toEqual(["  1 of 2 moves done\n", "  2 of 2 moves done\n"]);
  // An earlier command still gives it some.
  progress.look(map, 3, "c");
  expect(said.at(-1)).toBe("  0 of 3 moves done\n");
});
