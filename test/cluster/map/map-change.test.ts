import { describe, expect, it } from "vitest";
import { pairOf } from "../../../cluster/map/cluster-map.ts";
import { cellAdded, cellLeaving, cellRemoved, faultOf, withCells } from "../../../cluster/map/map-change.ts";
import { assignmentsOf } from "../../../cluster/map/serving-cells.ts";
import { groupMap } from "../group/group-map.ts";

const map = groupMap(["a", "b", "c"]);
const assignments = [
  { primary: "a", secondary: "c" },
  { primary: "b", secondary: "a", joining: "c" },
  { primary: "c", secondary: "b" },
];

describe("a change of the map", () => {
  it("has nothing wrong when each exchange has two cells of it, and one in a map of one cell", () => {
    expect(faultOf(map, {})).toBeUndefined();
    expect(faultOf(map, { assignments })).toBeUndefined();
    expect(faultOf(map, { cells: [...map.cells, { id: "d", url: "http://d.invalid" }] })).toBeUndefined();
    expect(faultOf(groupMap(["a"]), { assignments: [{ primary: "a", secondary: "a" }] })).toBeUndefined();
  });

  it("is not wrong for being made from an older version: that is said where it is written", () => {
    const singletons = [{ name: "call-records", owners: ["b"], since: { epoch: 10, writer: "a" } }];
    const newest = { ...map, version: 10, writer: "a", singletons };
    const proposal = { version: 9, writer: "a", cells: cellLeaving(newest, "c") };
    expect(faultOf(newest, proposal)).toBeUndefined();
  });

  it.each([
    [{ assignments: assignments.slice(1) }, "there are 3 exchanges, and cells for 2"],
    [{ assignments: assignments.with(2, { primary: "c", secondary: "x" }) }, "exchange 2 is in cell x, which is not in the map"],
    [
      { assignments: assignments.with(1, { primary: "b", secondary: "a", joining: "x" }) },
      "exchange 1 is in cell x, which is not in the map",
    ],
    [{ assignments: assignments.with(0, { primary: "c", secondary: "c" }) }, "exchange 0 has one replica only, in cell c"],
    [{ cells: map.cells.slice(0, 2), assignments }, "exchange 0 is in cell c, which is not in the map"],
    [{ cells: [...map.cells, ...map.cells.slice(1, 2)] }, "there are two cells b"],
  ])("is refused when it would leave an exchange without: %#", (change, fault) => {
    expect(faultOf(map, change)).toBe(fault);
  });
});

describe("other cells in a map", () => {
  const d = { id: "d", url: "http://d.invalid" };

  it("leave each exchange where it was, though its place has followed from the cells", () => {
    const grown = { ...map, ...withCells(map, cellAdded(map, d)) };
    expect(assignmentsOf(grown)).toEqual(assignmentsOf(map));
    expect(grown.founders).toEqual(["a", "b", "c"]);
    expect(grown).not.toHaveProperty("former");
    expect(grown).not.toHaveProperty("formerUrls");
    // Without them the exchanges would be elsewhere.
    expect(pairOf({ ...map, cells: grown.cells }, 2)).not.toEqual(pairOf(map, 2));
    expect(faultOf(map, { cells: cellAdded(map, d) })).toBeUndefined();
  });

  it("are the same cells when one has another weight: nothing follows", () => {
    expect(withCells(map, cellLeaving(map, "b"))).toEqual({
      cells: map.cells.map((cell) => (cell.id === "b" ? { ...cell, weight: 0 } : cell)),
    });
  });

  it("may lack one that has no replica, which is known as one that was; its name given again has nothing of the first one's", () => {
    const inTwo = { ...map, assignments: assignments.map(() => ({ primary: "a", secondary: "b" })) };
    expect(faultOf(map, { cells: cellRemoved(map, "c") })).toBe("exchange 1 is in cell c, which is not in the map");
    const less = { ...inTwo, ...withCells(inTwo, cellRemoved(inTwo, "c")) };
    expect(less).toMatchObject({ founders: ["a", "b", ""], former: ["c"], assignments: inTwo.assignments });
    expect(withCells(less, cellAdded(less, { id: "c", url: "http://new.invalid" }))).toMatchObject({
      founders: ["a", "b", ""],
      former: [],
    });
  });

  it("say where those were that were removed, until one of the name is there again", () => {
    const inTwo = { ...map, assignments: assignments.map(() => ({ primary: "a", secondary: "b" })) };
    const once = { ...inTwo, ...withCells(inTwo, cellRemoved(inTwo, "c")) };
    const [old, renewed] = ["http://c.invalid", "http://new.invalid"].map((url) => ({ id: "c", url }));
    expect(once.formerUrls).toEqual([old]);
    const elsewhere = { ...once, ...withCells(once, cellAdded(once, { id: "c", url: "http://new.invalid", weight: 2 })) };
    expect(elsewhere.formerUrls).toEqual([old]);
    const twice = { ...elsewhere, ...withCells(elsewhere, cellRemoved(elsewhere, "c")) };
    expect(twice.formerUrls).toEqual([old, renewed]);
    expect(withCells(twice, cellAdded(twice, { id: "c", url: "http://c.invalid" })).formerUrls).toEqual([renewed]);
  });

  it("are the second memory of all that one cell had alone", () => {
    const alone = { ...groupMap(["a"]), exchangeCount: 3 };
    const { assignments: pairs } = withCells(alone, [...alone.cells, d, { id: "e", url: "http://e.invalid" }]);
    expect(pairs).toEqual(["d", "e", "d"].map((secondary) => ({ primary: "a", secondary })));
  });
});
