import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { carriedMapSchema, clusterMapSchema, writtenMapSchema } from "../../schemas/cluster-map.ts";
import { read } from "../../schemas/reading.ts";
import { testMap } from "../actors/exchange/harness.ts";

const map = testMap("digest", 4);

describe("the schema of the cluster map", () => {
  it("takes a map as it is, with everything that may be absent and without", () => {
    for (const each of [map, { ...map, failedLogins: 0, replication: { ackTimeoutMs: 200, enabled: false } }]) {
      expect(read(clusterMapSchema, each)).toEqual({ value: each });
      expect(read(writtenMapSchema, each)).toEqual({ value: each });
    }
  });

  it("takes a map that was written while the cluster ran, with all that it says of cells and exchanges", () => {
    const cells = [{ id: "a", url: "http://127.0.0.1", host: "h1", location: "here", weight: 70 }];
    const assignments = [{ primary: "a", secondary: "a", joining: "b" }];
    const since = { epoch: 6, writer: "b" };
    const singletons = [
      {
        name: "call-records",
        owners: ["a"],
        since,
        policy: { kind: "M of N", count: 2, preferred: ["a"], failback: true, isAliveMs: 5_000 },
      },
    ];
    const group = { preferred: ["a"], healAfterMs: 20_000 };
    const written = { ...map, version: 7, writer: "a", statedAt: 1, cells, assignments, singletons, ...group };
    for (const schema of [clusterMapSchema, carriedMapSchema]) expect(read(schema, written)).toEqual({ value: written });
    expect(read(writtenMapSchema, { ...map, cells, assignments, ...group })).toHaveProperty("value");
    expect(read(writtenMapSchema, written).fault?.path).toBe("writer");
  });

  it("carries what a later release of a cell says from cell to cell", () => {
    const later = { ...map, policies: [{ name: "call-records" }] };
    expect(read(carriedMapSchema, later)).toEqual({ value: later });
  });

  it("takes the maps of wrangler.toml", () => {
    const wrangler = readFileSync(new URL("../../wrangler.toml", import.meta.url), "utf8");
    const texts = [...wrangler.matchAll(/^CLUSTER = '''([^']+)'''$/gm)].map(([, text = ""]) => text);
    expect(texts).toHaveLength(2);
    for (const text of texts) expect(read(writtenMapSchema, JSON.parse(text))).toHaveProperty("value");
  });

  it("leaves out what a later release of a cell says to a gateway", () => {
    const later = { ...map, replication: { ...map.replication, quorum: 2 }, policies: [] };
    expect(read(clusterMapSchema, later)).toEqual({ value: map });
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
    expect(read(writtenMapSchema, { ...map, ...change })).toEqual({ fault: { path, reason } });
  });

  const [a, b] = map.cells;
  it.each([
    [{ flusMs: 5 }, "flusMs", "is not known; known here: "],
    [{ failedLogin: 0 }, "failedLogin", "is not known; known here: "],
    [{ cells: [{ ...a, ur: "" }] }, "cells[0].ur", "is not known; known here: id, url, host, location, weight"],
    [
      { domains: [{ name: "example.test", auth: "open", digests: [] }] },
      "domains[0].digests",
      "is not known; known here: name, auth, digest",
    ],
    [{ heartbeat: { ...map.heartbeat, mised: 3 } }, "heartbeat.mised", "is not known; known here: periodMs, missed"],
    [{ replication: { ackTimeoutMs: 1, enable: false } }, "replication.enable", "is not known; known here: ackTimeoutMs, enabled"],
    [{ cells: [a, b, { ...b, id: "a" }] }, "cells[2]", "has the id a, which an earlier cell has"],
    [{ domains: [] }, "domains", "must name a domain"],
    [{ domains: 3 }, "domains", "must be a list"],
    [{ cells: {} }, "cells", "must be a list"],
  ])("refuses a slip of who writes one for a cell: %j", (change, path, reason) => {
    const { fault } = read(writtenMapSchema, { ...map, ...change });
    expect(fault?.path).toBe(path);
    expect(fault?.reason.startsWith(reason)).toBe(true);
  });
});
