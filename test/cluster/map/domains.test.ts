import { describe, expect, it } from "vitest";
import { domainsMax, gatewaysWeighedMax } from "../../../cluster/limits.ts";
import { exchangeOf, domainOf, type ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { asDeployed, mapAtStart } from "../../../cluster/map/deployed-map.ts";
import { domainNameFault } from "../../../cluster/map/domains.ts";
import { shownState, weightOfGateway } from "../../../cluster/map/gateways.ts";
import { unsoundness } from "../../../cluster/map/sound-map.ts";
import { changeFor, type Wish } from "../../../cluster/map/wish.ts";
import { KnownMap } from "../../../cluster/group/known-map.ts";
import { groupMap } from "../group/group-map.ts";

const deployed = groupMap(["a", "b"]);
const other = { name: "example.org", auth: "digest" } as const;
const now = 1_790_000_000_000;

/** A map after these wishes, as the coordinator writes them. */
function after(...wishes: Wish[]): ClusterMap {
  const known = new KnownMap(deployed, undefined);
  for (const wish of wishes) {
    const change = changeFor(known.map, wish, now);
    if ("refused" in change) throw new Error(change.refused);
    expect(known.write(change, "a")).toBeUndefined();
  }
  return known.map;
}

function names({ domains }: ClusterMap): string[] {
  return domains.map(({ name }) => name);
}

describe("domains that are added while the cluster runs", () => {
  it("stand behind those that were deployed, and are removed again", () => {
    const added = after({ addDomain: other });
    expect(names(added)).toEqual(["example.test", "example.org"]);
    expect(domainOf(added, "Example.ORG", 5099)).toEqual(other);
    expect(domainOf(deployed, "example.org")).toBeUndefined();
    const removed = after({ addDomain: other }, { removeDomain: "example.org" });
    expect(names(removed)).toEqual(["example.test"]);
    expect(removed.version).toBe(deployed.version + 2);
  });

  it("may be said anew, and have the algorithms of the first one", () => {
    const first = { ...deployed, domains: [{ name: "example.test", auth: "digest" as const, digest: ["SHA-256" as const] }] };
    const change = changeFor(first, { addDomain: other }, now);
    expect(change).toMatchObject({ addedDomains: [{ ...other, digest: ["SHA-256"] }] });
    const open = after({ addDomain: other }, { addDomain: { ...other, auth: "open" } });
    expect(domainOf(open, "example.org")?.auth).toBe("open");
    expect(open.domains).toHaveLength(2);
  });

  it("leave each name where it is: the address-of-record has its domain", () => {
    const key = { hashKey: "00112233445566778899aabbccddeeff", exchangeCount: 64 };
    const before = { ...deployed, ...key };
    const added = { ...after({ addDomain: other }), ...key };
    expect(exchangeOf(added, "alice@example.test")).toBe(exchangeOf(before, "alice@example.test"));
    const exchanges = new Set(["example.test", "example.org"].map((domain) => exchangeOf(added, `alice@${domain}`)));
    expect(exchanges.size).toBe(2);
  });

  it("are known in each cell that hears of the map, and after a start", () => {
    const written = { ...after({ addDomain: other }), domains: [{ name: "elsewhere.test", auth: "open" as const }, other] };
    expect(names(asDeployed(written, deployed))).toEqual(["example.test", "example.org"]);
    expect(names(mapAtStart(deployed, written))).toEqual(["example.test", "example.org"]);
    // Of a cell of the release before, which carries them and does not know what they are.
    const carried = { ...written, statedAt: 9, version: 9, domains: [{ name: "later.test", auth: "open" as const }] };
    expect(names(asDeployed(carried, deployed))).toEqual(["later.test", "example.org"]);
  });

  it("count as they are deployed when they are deployed later", () => {
    const later: ClusterMap = { ...deployed, domains: [...deployed.domains, { name: "example.org", auth: "open" }] };
    const map = asDeployed(after({ addDomain: other }), later);
    expect(names(map)).toEqual(["example.test", "example.org"]);
    expect(domainOf(map, "example.org")?.auth).toBe("open");
  });

  it.each<[Wish, RegExp]>([
    [{ addDomain: { name: "example.test", auth: "open" } }, /^example\.test is what cells were started with/],
    [{ addDomain: { name: "localhost", auth: "open" } }, /^localhost: is what each machine calls itself: /],
    [{ removeDomain: "example.test" }, /^example\.test is what cells were started with, and stays$/],
  ])("are refused: %j", (wish, text) => {
    expect(changeFor(deployed, wish, now)).toEqual({ refused: expect.stringMatching(text) as string });
  });

  it("are so many at most", () => {
    const domains = Array.from({ length: domainsMax }, (_, index) => ({ name: `d${index}.test`, auth: "open" as const }));
    const full = { ...deployed, domains, addedDomains: domains.slice(1) };
    expect(unsoundness(full)).toBeUndefined();
    expect(changeFor(full, { addDomain: other }, now)).toHaveProperty("refused");
    expect(unsoundness({ ...full, addedDomains: [...domains, other] })).toMatch(/added domains are more than/);
  });

  it.each([
    ["example.test", /^$/],
    ["intern", /^$/],
    ["192.0.2.1", /address/],
    ["localhost", /each machine calls itself/],
    ["pbx.localhost", /each machine calls itself/],
    ["ip6-localhost", /each machine calls itself/],
    ["a..b", /must be a domain name/],
    ["a_b.test", /must be a domain name/],
    [`${"a".repeat(60)}.test`, /at most 64 characters/],
  ])("may be called %s: %s", (name, fault) => {
    expect(domainNameFault(name) ?? "").toMatch(fault);
  });
});

describe("weights of gateways", () => {
  it("are 1 where nobody has said another, and spread with the map", () => {
    const map = after({ weighGateway: { id: "g1", weight: 70 } }, { weighGateway: { id: "g2", weight: 0 } });
    expect(["g1", "g2", "g3"].map((id) => weightOfGateway(map, id))).toEqual([70, 0, 1]);
    expect(asDeployed(map, deployed).gateways).toEqual(map.gateways);
    const usual = after({ weighGateway: { id: "g1", weight: 70 } }, { weighGateway: { id: "g1", weight: 1 } });
    expect(usual.gateways).toEqual([]);
  });

  it("are so many at most", () => {
    const gateways = Array.from({ length: gatewaysWeighedMax }, (_, index) => ({ id: `g${index}`, weight: 2 }));
    expect(changeFor({ ...deployed, gateways }, { weighGateway: { id: "more", weight: 2 } }, now)).toHaveProperty("refused");
    expect(unsoundness({ ...deployed, gateways: [...gateways, { id: "more", weight: 2 }] })).toMatch(/weights of gateways are more than/);
  });
});

describe("gateways that are drained", () => {
  it("are in the map until they are taken back, with the deadline of the last order", () => {
    const map = after(
      { drainGateway: { id: "g1" } },
      { drainGateway: { id: "g2", closeAt: 5 } },
      { drainGateway: { id: "g1", closeAt: 7 } },
    );
    expect(map.drainingGateways).toEqual([
      { id: "g2", closeAt: 5 },
      { id: "g1", closeAt: 7 },
    ]);
    expect(asDeployed(map, deployed).drainingGateways).toEqual(map.drainingGateways);
    const states = (["up", "down"] as const).map((state) => shownState(map, { id: "g1", state }));
    expect([...states, shownState(map, { id: "g3", state: "up" })]).toEqual(["draining", "down", "up"]);
    expect(after({ drainGateway: { id: "g1" } }, { undrainGateway: "g1" }).drainingGateways).toEqual([]);
  });

  it("are so many at most", () => {
    const drainingGateways = Array.from({ length: gatewaysWeighedMax }, (_, index) => ({ id: `g${index}` }));
    expect(changeFor({ ...deployed, drainingGateways }, { drainGateway: { id: "more" } }, now)).toHaveProperty("refused");
    expect(changeFor({ ...deployed, drainingGateways }, { drainGateway: { id: "g1" } }, now)).not.toHaveProperty("refused");
    expect(unsoundness({ ...deployed, drainingGateways: [...drainingGateways, { id: "more" }] })).toMatch(/that are drained are more than/);
  });
});
