import { describe, expect, it } from "vitest";
import { boundTo, isOnCloudflare, type System } from "../../../cli/deploy/system.ts";
import { unsoundness } from "../../../cluster/map/sound-map.ts";
import { writtenMapSchema } from "../../../schemas/cluster-map.ts";
import { read } from "../../../schemas/reading.ts";
import { faultsIn, oneAccount, systemIn, twoAccounts, withBlade } from "./systems.ts";

/** The other cells that each is bound to. */
function bindingsOf(system: System): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(system.cells.filter(isOnCloudflare).map((cell) => [cell.id, boundTo(cell, system).map(({ id }) => id)]));
}

describe("tandem.toml", () => {
  it.each([oneAccount, twoAccounts, withBlade])("makes a map that cells take", (toml) => {
    const { map } = systemIn(toml);
    expect(read(writtenMapSchema, JSON.parse(JSON.stringify(map))).fault).toBeUndefined();
    expect(unsoundness(map)).toBeUndefined();
  });

  it("has each cell at its URL, however that is said", () => {
    expect(systemIn(withBlade).map.cells).toEqual([
      { id: "a", url: "https://tandem-a.me.workers.dev" },
      { id: "b", url: "https://b.sip.example.org" },
      { id: "c", url: "https://c.example.org" },
    ]);
    expect(systemIn(twoAccounts).map.cells[1]).toEqual({ id: "b", url: "https://b.sip.example.org" });
  });

  it("binds the cells of one account to each other, and no others", () => {
    expect(bindingsOf(systemIn(oneAccount))).toEqual({ a: ["b"], b: ["a"] });
    expect(bindingsOf(systemIn(withBlade))).toEqual({ a: ["b"], b: ["a"] });
    expect(bindingsOf(systemIn(twoAccounts))).toEqual({ a: [], b: [] });
    expect(bindingsOf(systemIn(`bindings = false\n${oneAccount}`))).toEqual({ a: [], b: [] });
  });

  it.each<[string, string, readonly string[]]>([
    ["an unknown key", `exchange = 4\n${oneAccount}`, ["exchange is not known; known here: domains, aliases, "]],
    ["no TOML", "domains = [", ["Invalid TOML document: "]],
    ["no cells", 'domains = [{ name = "example.org" }]\n', ["cells is missing"]],
    ["an empty list of cells", 'domains = [{ name = "example.org" }]\ncells = []\n', ["cells must name a cell"]],
    ["a place that there is not", oneAccount.replace('"weur"', '"mars"'), ["cells[0].location must be one of wnam, "]],
    ["borders that there are not", oneAccount.replace('"eu"', '"de"'), ["cells[0].jurisdiction must be one of eu, us, "]],
    ["a kind that there is not", oneAccount.replace('"cloudflare"', '"aws"'), ["cells[0].kind must be cloudflare or blade"]],
    [
      "two cells of a name",
      oneAccount.replace('id = "b"', 'id = "a"'),
      ["cells[1].worker is tandem-a, which an earlier cell of the account is", "cells[1].id is a, which an earlier cell is"],
    ],
    [
      "a cell with a gateway's name",
      oneAccount.replace('id = "b"', 'id = "g2"'),
      ["cells[1].id must be 1 to 16 lower-case letters or digits, and no name of a gateway"],
    ],
    ["no way to a cell", oneAccount.replace(/^url.*\n/m, ""), ["cells[0] must say one of url, customDomain and route, says none"]],
    [
      "two ways to a cell",
      oneAccount.replace("location", 'route = "a.example.org/*"\nlocation'),
      ["cells[0] must say one of url, customDomain and route, says 2"],
    ],
    [
      "a URL of another Worker",
      oneAccount.replace("tandem-a.me", "other.me"),
      ["cells[0].url must be https://tandem-a.SUBDOMAIN.workers.dev, "],
    ],
    [
      "a URL without TLS",
      oneAccount.replace("https://tandem-a", "http://tandem-a"),
      ["cells[0].url must be https://tandem-a.SUBDOMAIN.workers.dev, "],
    ],
    ["a URL with a path", oneAccount.replace("workers.dev", "workers.dev/a"), ["cells[0].url must be https://tandem-a."]],
    ["a custom domain with a scheme", oneAccount.replace('"b.sip', '"https://b.sip'), ["cells[1].customDomain must be the name of a host"]],
    ["a route of a part of a host", twoAccounts.replace("/*", "/cell/*"), ["cells[1].route must be HOST/*, "]],
    [
      "an account that nobody has",
      twoAccounts.replace('account = "two"', 'account = "three"'),
      ["cells[1].account is three, which no [[accounts]] has for its name"],
    ],
    [
      "no account where there are two",
      twoAccounts.replace('account = "two"\n', ""),
      ["cells[1].account is missing, and there are 2 accounts"],
    ],
    ["an account's id that is none", twoAccounts.replace("1111", "x"), ["accounts[0].id must be 32 hex digits, "]],
    ["a blade on Cloudflare", `${withBlade}location = "weur"\n`, ["cells[2].location is for cells of the kind cloudflare"]],
    ["a blade without TLS", withBlade.replace("https://c", "http://c"), ["cells[2].url must be an https URL without a path, "]],
    [
      "cells at one URL",
      withBlade.replace("c.example.org", "b.sip.example.org"),
      ["cells[2] is at https://b.sip.example.org, where an earlier cell is"],
    ],
    ["a cell without an exchange", `exchanges = 1\n${oneAccount}`, ["exchanges must be 2 at least, one for each cell, is 1"]],
    ["an address for a domain", oneAccount.replace("example.org", "192.0.2.1"), ["domains[0].name an address is no domain"]],
    ["a domain twice", oneAccount.replace("}]", '}, { name = "example.org" }]'), ["domains[1].name stands there already"]],
    [
      "a first subscriber elsewhere",
      `firstSubscriber = "alice@example.net"\n${oneAccount}`,
      ["firstSubscriber alice@example.net: the domain of this system is example.org"],
    ],
    [
      "a gateway that phones cannot find",
      `${oneAccount}[[gateways]]\nname = "g1"\nlisteners = [{ transport = "udp", host = "0.0.0.0", port = 5060 }]\n`,
      ["gateways[0].listeners[0].advertise is missing: phones cannot send to 0.0.0.0"],
    ],
    [
      "a gateway with the name of the domain",
      `${oneAccount}[[gateways]]\nname = "g1"\nlisteners = [{ transport = "udp", host = "0.0.0.0", port = 5060, advertise = "example.org" }]\n`,
      ["gateways[0].listeners[0].advertise it advertises example.org, which is a SIP domain"],
    ],
    [
      "a gateway with TLS and no certificate",
      `${oneAccount}[[gateways]]\nname = "g1"\nlisteners = [{ transport = "tls", host = "192.0.2.1", port = 5061 }]\n`,
      ["gateways[0].tls is missing, and it listens for TLS"],
    ],
    [
      "two faults",
      oneAccount.replace('"weur"', '"mars"').replace('"eeur"', '"moon"'),
      ["cells[0].location must be one of", "cells[1].location must be one of"],
    ],
  ])("is refused for %s, by the key", (_what, toml, faults) => {
    const said = faultsIn(toml);
    expect(said.map((line, index) => line.slice(0, faults[index]?.length))).toEqual(faults);
  });
});
