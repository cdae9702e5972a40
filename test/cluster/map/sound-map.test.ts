import { describe, expect, it } from "vitest";
import { exchangesMax, lineCountMax, mapEpochAheadMax, mapEpochMax } from "../../../cluster/limits.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { unsoundness } from "../../../cluster/map/sound-map.ts";
import { assignmentsOf } from "../../../cluster/map/serving-cells.ts";
import { groupMap } from "../group/group-map.ts";

const known = groupMap(["a", "b", "c"]);
const assignments = assignmentsOf(known);
const [first] = known.cells;

function later(change: Partial<ClusterMap>): ClusterMap {
  return { ...known, version: 2, writer: "b", statedAt: 1, assignments, ...change };
}

describe("a map that is heard", () => {
  it.each<Partial<ClusterMap>>([
    {},
    { version: mapEpochAheadMax },
    { exchangeCount: 6, assignments: [...assignments, ...assignments] },
    { exchangeCount: 12, assignments: Array.from({ length: 4 }, () => assignments).flat(), doubled: { first: 3 } },
    { cells: [...known.cells, { id: "d", url: "https://d.invalid:8801/way" }] },
    { heartbeat: { periodMs: 60_000, missed: 20 } },
  ])("is sound: %#", (change) => {
    expect(unsoundness(later(change), known)).toBeUndefined();
  });

  it.each<[Partial<ClusterMap>, RegExp]>([
    [{ version: 2 ** 53 - 1 }, /^no version is above/],
    [{ version: mapEpochMax + 1 }, /^no version is above/],
    [{ version: mapEpochAheadMax + 2 }, /^the version is more than \d+ above 1, which is known$/],
    [{ statedAt: 3 }, /^it was stated at 3, which is after its version 2$/],
    [{ singletons: [{ name: "call-records", owners: ["a"], since: { epoch: 3, writer: "a" } }] }, /^call-records has owners since 3/],
    [{ exchangeCount: 300_000_000 }, /^300000000 exchanges are more than 4096$/],
    [{ exchangeCount: exchangesMax + 1 }, /are more than/],
    [{ exchangeCount: 2, assignments: assignments.slice(1) }, /^there are 3 exchanges, and 2 are neither as many nor doubled from them$/],
    [{ exchangeCount: 4 }, /neither as many nor doubled/],
    [{ exchangeCount: 9 }, /neither as many nor doubled/],
    [{ doubled: { first: 2 } }, /^3 exchanges have not come from 2$/],
    [{ lineCount: lineCountMax + 1 }, /^4097 lines are more than 4096$/],
    [{ heartbeat: { periodMs: 10, missed: 3 } }, /^a heartbeat each 10 ms is out of bounds$/],
    [{ heartbeat: { periodMs: 60_001, missed: 3 } }, /out of bounds/],
    [{ heartbeat: { periodMs: 1_000, missed: 21 } }, /^21 missed heartbeats are more than 20$/],
    [{ cells: [...known.cells, { id: "a", url: "http://a.invalid" }] }, /^there are two cells a$/],
    [{ cells: known.cells.with(0, { id: "a", url: "mailto:a@example.test" }) }, /^the URL of cell a is not of the kind/],
    [{ cells: known.cells.with(0, { id: "a", url: "http://a.invalid/#b" }) }, /^the URL of cell a is not of the kind/],
    [{ cells: known.cells.slice(0, 2) }, /^exchange 0 is in cell|^exchange 1 is in cell c, which is not in the map$/],
    [{ assignments: assignments.slice(1) }, /^there are 3 exchanges, and cells for 2$/],
    [{ assignments: [] }, /^there are 3 exchanges, and cells for 0$/],
    [{ assignments: assignments.with(0, { primary: "zz", secondary: "yy" }) }, /^exchange 0 is in cell zz, which is not in the map$/],
    [{ assignments: assignments.with(2, { primary: "a", secondary: "b", joining: "x" }) }, /^exchange 2 is in cell x/],
    [{ assignments: assignments.with(1, { primary: "b", secondary: "b" }) }, /^exchange 1 has one replica only, in cell b$/],
  ])("is not sound: %#", (change, fault) => {
    expect(unsoundness(later(change), known)).toMatch(fault);
  });

  it("may have one replica of each exchange where there is one cell", () => {
    const alone = { ...groupMap(["a"]), cells: first === undefined ? [] : [first], assignments: [{ primary: "a", secondary: "a" }] };
    expect(unsoundness(alone)).toBeUndefined();
  });
});
