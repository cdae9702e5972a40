import { describe, expect, it } from "vitest";
import { recordsOf, zoneText, type Plan } from "../../../cluster/dns/zone.ts";
import { gatewayAt, planWith } from "./zones.ts";

function linesOf(plan: Plan): string[] {
  return zoneText(plan, 7).split("\n");
}

function at(...hosts: string[]): Plan {
  return planWith({ gateways: hosts.map((host, index) => gatewayAt(`g${index + 1}`, host, 1)) });
}

describe("the zone of a domain", () => {
  it("names each gateway for each transport, by weight, and where it is [RFC3263 4, RFC2782]", () => {
    expect(zoneText(planWith(), 1_764_000_000)).toBe(
      `; The zone of example.test, by tandem dns. Print it again when gateways come, go, or get another weight.
$ORIGIN example.test.
$TTL 60
; Where the zone exists already leave the next two out. Else name your own name servers in the second.
@ SOA localhost. hostmaster 1764000000 3600 600 604800 60
@ NS localhost.

; Transports, the most preferred one first: order, preference, flag, service, target
@ NAPTR 10 50 "s" "SIPS+D2T" "" _sips._tcp
@ NAPTR 20 50 "s" "SIP+D2T" "" _sip._tcp
@ NAPTR 30 50 "s" "SIP+D2U" "" _sip._udp

; Gateways of each: priority, weight, port, target
_sips._tcp SRV 10 70 5061 g1
_sips._tcp SRV 10 30 5061 g2
_sip._tcp SRV 10 70 5060 g1
_sip._tcp SRV 10 30 5060 g2
_sip._udp SRV 10 70 5060 g1
_sip._udp SRV 10 30 5060 g2

; Where they are
g1 A 192.0.2.1
g2 A 192.0.2.2
`,
    );
  });

  it("has no address at the domain itself: a domain is no machine", () => {
    expect(
      recordsOf(planWith())
        .filter(({ name }) => name === "example.test")
        .map(({ type }) => type),
    ).toEqual(["NAPTR", "NAPTR", "NAPTR"]);
  });

  it("leaves out an address that leads back to whoever asks, where others do not, and says so", () => {
    const plan = at("192.0.2.1", "127.0.0.1");
    expect(recordsOf(plan).filter(({ data, name }) => /127|g2/.test(`${name} ${data}`))).toEqual([]);
    expect(linesOf(plan).filter((line) => line.includes("g2"))).toEqual([
      "; g2 is at a loopback address (--sip), which no phone of another machine reaches: that is left out",
    ]);
    expect(plan).toMatchObject({ unknown: [], unreachable: ["g2"] });
    // All is on one machine.
    expect(linesOf(at("127.0.0.1", "[::1]")).filter((line) => /^g\d A/.test(line))).toEqual(["g1 A 127.0.0.1", "g2 AAAA ::1"]);
  });

  it("asks a gateway of weight 0 when no other answers", () => {
    const plan = planWith({ gateways: [gatewayAt("g1", "192.0.2.1", 70), gatewayAt("g2", "192.0.2.2", 0)] });
    expect(linesOf(plan).filter((line) => line.startsWith("_sip._udp"))).toEqual([
      "_sip._udp SRV 10 70 5060 g1",
      "_sip._udp SRV 20 0 5060 g2",
    ]);
  });

  it("has transports in the order that is wanted, and no others", () => {
    const naptr = linesOf(planWith({ transports: ["UDP", "TLS", "WSS"] })).filter((line) => line.startsWith("@ NAPTR"));
    expect(naptr).toEqual(['@ NAPTR 10 50 "s" "SIP+D2U" "" _sip._udp', '@ NAPTR 20 50 "s" "SIPS+D2T" "" _sips._tcp']);
  });

  it("gives both kinds of addresses of a gateway one name, and addresses with other doors another", () => {
    const both = [...gatewayAt("g1", "[2001:db8::1]").listeners, ...gatewayAt("g1", "192.0.2.1").listeners];
    const apart = [...both, { transport: "UDP" as const, host: "192.0.2.9", port: 5070 }];
    const lines = linesOf(planWith({ gateways: [{ id: "g1", weight: 1, listeners: apart }] }));
    expect(lines.filter((line) => / (?:A|AAAA) /.test(line))).toEqual(["g1 A 192.0.2.1", "g1-2 A 192.0.2.9", "g1 AAAA 2001:db8::1"]);
    expect(lines.filter((line) => line.startsWith("_sip._udp"))).toEqual(["_sip._udp SRV 10 1 5060 g1", "_sip._udp SRV 10 1 5070 g1-2"]);
  });

  it("takes the name that a gateway advertises, or that the operator gives it, and says whose address is needed", () => {
    const names = new Map([["g2", "edge2.example.net"]]);
    const gateways = [gatewayAt("g1", "PBX.example.test"), gatewayAt("g2", "192.0.2.2"), gatewayAt("g3", "gw.example.net")];
    const lines = linesOf(planWith({ gateways, names }));
    expect(lines.filter((line) => line.startsWith("_sip._udp"))).toEqual([
      "_sip._udp SRV 10 1 5060 pbx",
      "_sip._udp SRV 10 1 5060 edge2.example.net.",
      "_sip._udp SRV 10 1 5060 gw.example.net.",
    ]);
    expect(lines).toContain("; pbx.example.test needs an A or AAAA record here: tandem dns --addresses");
    expect(lines).toContain("; gw.example.net needs an A or AAAA record, in its own zone");
    // What is none of this zone no server would load.
    expect(lines.filter((line) => / A /.test(line) && !line.startsWith(";"))).toEqual([]);
    const known = linesOf(planWith({ gateways, names, addresses: new Map([["g1", ["192.0.2.1"]]]) }));
    expect(known).toContain("pbx A 192.0.2.1");
  });

  it("says which gateways have not said where they listen, and what browsers are to be told", () => {
    const g1 = gatewayAt("g1", "192.0.2.1", 3);
    const listeners = [...g1.listeners, { transport: "WSS" as const, host: "192.0.2.1", port: 5081 }];
    const plan = planWith({
      gateways: [
        { ...g1, listeners },
        { id: "g9", weight: 1, listeners: [] },
      ],
    });
    expect(plan.softphones).toEqual([{ url: "wss://g1.example.test:5081", weight: 3 }]);
    const lines = linesOf(plan);
    expect(lines).toContain("; g9 has not said where it listens, and is missing here");
    expect(lines).toContain('@ NAPTR 40 50 "s" "SIPS+D2W" "" _sips._ws');
    expect(lines).toContain("; wss://g1.example.test:5081 weight 3");
  });

  it("calls a gateway by what a name may hold of its id", () => {
    expect(planWith({ gateways: [gatewayAt("Edge_1.x", "192.0.2.1")] }).hosts).toMatchObject([{ name: "edge-1-x.example.test" }]);
  });
});
