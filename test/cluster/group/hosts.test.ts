import { expect, it } from "vitest";
import { goneHosts, hostOf } from "../../../cluster/group/hosts.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { groupMap } from "./group-map.ts";

const members = [
  { id: "h1", kind: "host", host: "h1", key: "k1" },
  { id: "a", kind: "cell", host: "h1", key: "k2" },
  { id: "h2", kind: "host", host: "h2", key: "k3" },
  { id: "b", kind: "cell", host: "h2", key: "k4" },
  { id: "g2", kind: "gateway", host: "h2", key: "k5" },
  { id: "h3", kind: "host", host: "h3", key: "k6" },
  { id: "g3", kind: "gateway", host: "h3", key: "k7" },
] as const;
const map: ClusterMap = { ...groupMap(["a", "b"]), authority: "x", members };
const up = { id: "a", state: "up" };

it("a machine is gone when all that runs there is down, seen or not", () => {
  const g3 = { id: "g3", state: "up" };
  const seen = (b: string, g2: string): unknown => goneHosts(map, [up, { id: "b", state: b }], [{ id: "g2", state: g2 }, g3]);
  const gone = [{ host: "h2", cells: ["b"], gateways: ["g2"] }];
  expect(seen("down", "down")).toEqual(gone);
  expect(seen("down", "left")).toEqual(gone);
  for (const [b, g2] of [
    ["down", "up"],
    ["up", "down"],
    ["draining", "down"],
    ["joining", "left"],
  ] as const)
    expect(seen(b, g2)).toEqual([]);
  expect(goneHosts(map, [up, { id: "b", state: "down" }], [g3])).toEqual(gone);
});

it("one whose gateways have all left in order is none that is gone, nor is one that was removed", () => {
  const b = { id: "b", state: "up" };
  expect(
    goneHosts(
      map,
      [up, b],
      [
        { id: "g2", state: "up" },
        { id: "g3", state: "left" },
      ],
    ),
  ).toEqual([]);
  expect(goneHosts({ ...map, revoked: ["k7"] }, [up, b], [{ id: "g2", state: "up" }])).toEqual([]);
});

it("is named by the map where there is no authority, and by nobody where that says nothing", () => {
  const { cells } = groupMap(["a", "b"]);
  const named: ClusterMap = { ...groupMap(["a", "b"]), cells: cells.map((cell) => (cell.id === "b" ? { ...cell, host: "m2" } : cell)) };
  expect([hostOf(named, "a"), hostOf(named, "b"), hostOf(map, "g3")]).toEqual([undefined, "m2", "h3"]);
  const down = ["a", "b"].map((id) => ({ id, state: "down" }));
  expect(goneHosts(named, down, [{ id: "g1", state: "down" }])).toEqual([{ host: "m2", cells: ["b"], gateways: [] }]);
});
