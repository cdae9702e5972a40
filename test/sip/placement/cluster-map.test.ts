import { describe, expect, it } from "vitest";
import { domainOf, exchangeOf, pairOf, type ClusterMap } from "../../../sip/placement/cluster-map.ts";

function mapOf(cells: number, exchangeCount: number): ClusterMap {
  return {
    version: 1,
    cells: Array.from({ length: cells }, (_, index) => ({ id: "abcdefgh".charAt(index), url: "http://127.0.0.1" })),
    exchangeCount,
    lineCount: 4,
    domains: [
      { name: "example.test", auth: "digest" },
      { name: "open.test", auth: "open" },
    ],
    aliases: ["192.0.2.1", "192.0.2.1:5060", "[2001:db8::1]:5060"],
    heartbeat: { periodMs: 1000, missed: 3 },
    replication: { ackTimeoutMs: 200 },
    flushMs: 1000,
  };
}

describe("placement", () => {
  it("spreads addresses-of-record over the exchanges: 45-55 % each of two", () => {
    const map = mapOf(2, 2);
    let first = 0;
    for (let index = 0; index < 1000; index += 1) if (exchangeOf(map, `phone${index}@example.test`) === 0) first += 1;
    expect(first).toBeGreaterThan(450);
    expect(first).toBeLessThan(550);
  });

  it.each([2, 3, 4, 6])("gives every exchange exactly two cells of %i, and a dead cell's exchanges to all the others", (cells) => {
    const map = mapOf(cells, cells * (cells - 1) * 4);
    const successors = new Set<string>();
    for (let exchange = 0; exchange < map.exchangeCount; exchange += 1) {
      const pair = pairOf(map, exchange);
      expect(pair.primary).not.toBe(pair.secondary);
      if (pair.primary === "a") successors.add(pair.secondary);
    }
    expect(successors.size).toBe(cells - 1);
  });

  it("has one cell serve alone where there is one", () => {
    expect(pairOf(mapOf(1, 2), 1)).toEqual({ primary: "a", secondary: "a" });
  });

  it("knows our domains at any port, and aliases only as they are written", () => {
    const map = mapOf(2, 2);
    expect(domainOf(map, "Example.TEST", 5080)?.name).toBe("example.test");
    expect(domainOf(map, "192.0.2.1")?.name).toBe("example.test");
    expect(domainOf(map, "192.0.2.1", 5060)?.name).toBe("example.test");
    expect(domainOf(map, "192.0.2.1", 6060)).toBeUndefined();
    expect(domainOf(map, "[2001:db8::1]", 5060)?.name).toBe("example.test");
    expect(domainOf(map, "elsewhere.test")).toBeUndefined();
  });
});
