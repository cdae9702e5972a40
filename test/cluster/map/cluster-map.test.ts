import { describe, expect, it } from "vitest";
import { claimedDomainOf, domainOf, exchangeOf, pairOf, shownDomainOf, type ClusterMap } from "../../../cluster/map/cluster-map.ts";

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

function keyed(hashKey: string): ClusterMap {
  return { ...mapOf(2, 8), hashKey };
}

describe("placement", () => {
  it("spreads addresses-of-record over the exchanges: 45-55 % each of two", () => {
    const map = mapOf(2, 2);
    let first = 0;
    for (let index = 0; index < 1000; index += 1) if (exchangeOf(map, `phone${index}@example.test`) === 0) first += 1;
    expect(first).toBeGreaterThan(450);
    expect(first).toBeLessThan(550);
  });

  it("is by a hash with a key where the map has one: names that belong to one exchange by one key do not by another", () => {
    const [one, other] = [keyed("000102030405060708090a0b0c0d0e0f"), keyed("f00102030405060708090a0b0c0d0e0f")];
    const names = Array.from({ length: 8_000 }, (_, index) => `phone${index}@example.test`);
    const together = names.filter((name) => exchangeOf(one, name) === 3);
    expect(together.length).toBeGreaterThan(850);
    expect(together.length).toBeLessThan(1_150);
    for (let exchange = 0; exchange < 8; exchange += 1) {
      const share = together.filter((name) => exchangeOf(other, name) === exchange).length / together.length;
      expect(share).toBeGreaterThan(0.07);
      expect(share).toBeLessThan(0.18);
    }
    // The same everywhere, and for ever: records are found by it.
    expect(["alice", "bob", "carol", "dave"].map((user) => exchangeOf(one, `${user}@example.test`))).toEqual([6, 4, 5, 0]);
    expect(exchangeOf(one, "\u6f22@example.test")).toBeLessThan(8);
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

  it("is as the map assigns, where it does; else as the number of cells has it", () => {
    const map = mapOf(3, 3);
    const assigned = { ...map, assignments: [{ primary: "c", secondary: "a", joining: "b" }] };
    expect([0, 1, 2].map((exchange) => pairOf(assigned, exchange))).toEqual([assigned.assignments[0], pairOf(map, 1), pairOf(map, 2)]);
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

  it.each([
    ["example.test", ["EXAMPLE.test", "example.test.", "Example.Test."]],
    ["192.0.2.1", ["192.0.513", "3221225985", "0xC0000201", "0300.0.2.1", "192.0x0.2.1"]],
    ["192.0.2.1", ["192.000.002.001", "[::ffff:192.0.2.1]", "[::FFFF:C000:201]", "[0:0:0:0:0:ffff:c000:0201]", "[::192.0.2.1]"]],
    ["[2001:db8::1]", ["[2001:DB8::1]", "[2001:db8:0:0:0:0:0:1]", "[2001:0db8::0001]"]],
  ])("[RFC3261 19.1.4, RFC5954 4.2] compares hosts by what they mean: %s", (host, spellings) => {
    const map = { ...mapOf(2, 2), aliases: ["192.0.2.1", "192.0.2.1:5060", "[2001:db8::1]", "[2001:db8::1]:5060"] };
    for (const each of [host, ...spellings]) {
      expect([each, domainOf(map, each)?.name, domainOf(map, each, 5060)?.name]).toEqual([each, "example.test", "example.test"]);
      expect([each, claimedDomainOf(map, each)?.name]).toEqual([each, "example.test"]);
    }
  });

  it.each([
    "localhost",
    "LocalHost.",
    "pbx.localhost",
    "localhost.localdomain",
    "ip6-localhost",
    "127.0.0.1",
    "127.9.9.9",
    "127.1",
    "0x7f000001",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
  ])("shows %s as a place of ours, and does not take it for one", (host) => {
    const map = mapOf(2, 2);
    expect([shownDomainOf(map, host)?.name, claimedDomainOf(map, host), domainOf(map, host)]).toEqual([
      "example.test",
      undefined,
      undefined,
    ]);
  });

  it.each([
    "elsewhere.test",
    "localhost.test",
    "mylocalhost",
    "128.0.0.1",
    "12.7.0.1",
    "1270.0.0.1",
    "0x7g",
    "[::2]",
    "192.0.2.2",
    "192.0.514",
    "4294967296",
    "1.2.3.4.5",
  ])("does not show %s as ours", (host) => {
    expect(shownDomainOf(mapOf(2, 2), host)).toBeUndefined();
  });

  it.each([
    "192.0.2.10",
    "192.0.2.1.test",
    "[2001:db8::2]",
    "[::ffff:192.0.2.2]",
    "[::1]",
    "example.test.test",
    "1example.test",
    "",
    "[",
    ".",
  ])("does not take %j for ours", (host) => {
    expect([domainOf(mapOf(2, 2), host), claimedDomainOf(mapOf(2, 2), host)]).toEqual([undefined, undefined]);
  });

  it("takes an alias at any port for a claim: who reads it sees one of our users", () => {
    expect(claimedDomainOf(mapOf(2, 2), "192.0.2.1")?.name).toBe("example.test");
    // It stands in the map with its port only.
    expect(claimedDomainOf(mapOf(2, 2), "[2001:db8:0::1]")?.name).toBe("example.test");
  });
});
