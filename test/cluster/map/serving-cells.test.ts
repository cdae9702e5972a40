import { describe, expect, it } from "vitest";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { servingCells } from "../../../cluster/map/serving-cells.ts";

const map: ClusterMap = {
  version: 1,
  cells: ["a", "b"].map((id) => ({ id, url: "http://127.0.0.1" })),
  exchangeCount: 4,
  lineCount: 4,
  domains: [{ name: "example.test", auth: "digest" }],
  aliases: [],
  heartbeat: { periodMs: 1000, missed: 3 },
  replication: { ackTimeoutMs: 200 },
  flushMs: 1000,
};

describe("the cells that may serve an exchange", () => {
  it("asks one's own replica of an exchange first, then the primary", () => {
    expect([0, 1, 2, 3].map((exchange) => servingCells(map, exchange, "b"))).toEqual([0, 1, 2, 3].map(() => ["b", "a"]));
    expect([0, 1].map((exchange) => servingCells(map, exchange, "z"))).toEqual([
      ["a", "b"],
      ["b", "a"],
    ]);
    expect(servingCells({ ...map, cells: map.cells.slice(0, 1) }, 0, "a")).toEqual(["a"]);
  });

  it("asks the primary first when replicas keep to themselves", () => {
    const apart = { ...map, replication: { ...map.replication, enabled: false } };
    expect(servingCells(apart, 0, "b")).toEqual(["a", "b"]);
  });

  it("asks an exchange's primary first when one has no replica", () => {
    expect([0, 1, 2, 3].map((exchange) => servingCells(map, exchange))).toEqual([
      ["a", "b"],
      ["b", "a"],
      ["a", "b"],
      ["b", "a"],
    ]);
  });
});
