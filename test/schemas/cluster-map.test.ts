import { describe, expect, it } from "vitest";
import { clusterMapSchema } from "../../schemas/cluster-map.ts";
import { read } from "../../schemas/reading.ts";
import { testMap } from "../actors/exchange/harness.ts";

const map = testMap("digest", 4);

describe("the schema of the cluster map", () => {
  it("takes a map as it is, with everything that may be absent and without", () => {
    for (const each of [map, { ...map, failedLogins: 0, replication: { ackTimeoutMs: 200, enabled: false } }]) {
      expect(read(clusterMapSchema, each)).toEqual({ value: each });
    }
  });

  it.each([
    [{ cells: [] }, "cells", "must name a cell"],
    [{ cells: [{ id: "a", url: "nowhere" }] }, "cells[0].url", "must be a URL"],
    [{ cells: [{ url: "http://127.0.0.1" }] }, "cells[0].id", "is missing"],
    [{ exchangeCount: 0 }, "exchangeCount", "must be a whole number from 1 on"],
    [{ domains: [{ name: "example.test", auth: "none" }] }, "domains[0].auth", "must be digest or open"],
    [{ aliases: [7] }, "aliases[0]", "must be a text"],
    [{ heartbeat: { periodMs: 9, missed: 3 } }, "heartbeat.periodMs", "must be a whole number from 10 on"],
    [{ heartbeat: undefined }, "heartbeat", "is missing"],
  ])("refuses one with %j, and says where", (change, path, reason) => {
    expect(read(clusterMapSchema, { ...map, ...change })).toEqual({ fault: { path, reason } });
  });
});
