import { describe, expect, it } from "vitest";
import { check, type Finding } from "../../../cluster/dns/check.ts";
import type { Plan } from "../../../cluster/dns/zone.ts";
import { gatewayAt, planWith, serverOf } from "./zones.ts";

const plan = planWith();

/** What is not right, as one line each. */
async function faults(change: (lines: string[]) => readonly string[], of: Plan = plan): Promise<string[]> {
  const { findings } = await check(of, serverOf(of, change), true);
  return findings.filter(({ state }) => state !== "right").map(lineOf);
}

function lineOf({ state, record, text, add, remove }: Finding): string {
  return [`${state} ${record}: ${text}`, ...(remove === undefined ? [] : [`- ${remove}`]), ...(add === undefined ? [] : [`+ ${add}`])].join(
    "; ",
  );
}

const without = (pattern: RegExp) => (lines: string[]) => lines.filter((line) => !pattern.test(line));
const withChange = (pattern: RegExp, text: string) => (lines: string[]) => lines.map((line) => line.replace(pattern, text));
const withMore =
  (...more: string[]) =>
  (lines: string[]) => [...lines, ...more];

describe("dns check", () => {
  it("finds nothing in the zone that tandem dns prints, and says what each record does", async () => {
    const { findings } = await check(plan, serverOf(plan), true);
    expect(findings.every(({ state }) => state === "right")).toBe(true);
    expect(findings).toHaveLength(3 + 6 + 2);
    expect(findings.map(({ record, text }) => `${record}: ${text}`)).toContain(
      "_sip._udp.example.test SRV g2.example.test:5060: gateway g2, 30 % of the phones",
    );
  });

  it.each<[string, (lines: string[]) => readonly string[], readonly string[]]>([
    [
      "a wrong port",
      withChange(/^(_sip\._udp.* 30) 5060/, "$1 5070"),
      [
        "wrong _sip._udp.example.test SRV g2.example.test:5070: port 5070: gateway g2 listens at 5060; - _sip._udp SRV 10 30 5070 g2; + _sip._udp SRV 10 30 5060 g2",
      ],
    ],
    [
      "a missing SRV record",
      without(/^_sip\._tcp.* g2/),
      ["missing _sip._tcp.example.test SRV g2.example.test:5060: no phone comes to gateway g2 by it; + _sip._tcp SRV 10 30 5060 g2"],
    ],
    [
      "a missing NAPTR record",
      without(/SIP\+D2U/),
      [
        'missing example.test NAPTR SIP+D2U: phones look for SRV records by guess, or not at all; + @ NAPTR 30 50 "s" "SIP+D2U" "" _sip._udp',
      ],
    ],
    [
      "other weights",
      withChange(/^(_sip\._udp.*) 70 /, "$1 30 "),
      [
        "wrong _sip._udp.example.test SRV g1.example.test:5060: gets 50 % of the phones by its weight 30: gateway g1 is to get 70 %; - _sip._udp SRV 10 30 5060 g1; + _sip._udp SRV 10 70 5060 g1",
      ],
    ],
    ["the same shares by other weights", (lines) => lines.map((line) => line.replace(/(SRV 10) (\d)0 /, "$1 $2 ")), []],
    ["another priority for all", (lines) => lines.map((line) => line.replace(/SRV 10/, "SRV 0")), []],
    [
      "a gateway that is asked last",
      withChange(/^(_sip\._udp.*SRV) 10 30/, "$1 20 30"),
      [
        "wrong _sip._udp.example.test SRV g2.example.test:5060: is asked only when others do not answer; - _sip._udp SRV 20 30 5060 g2; + _sip._udp SRV 10 30 5060 g2",
      ],
    ],
    [
      "a target that nobody is",
      withMore("_sip._udp.example.test SRV 10 5 5060 old.example.test.", "old.example.test A 192.0.2.99"),
      ["wrong _sip._udp.example.test SRV old.example.test:5060: no gateway is there; - _sip._udp SRV 10 5 5060 old"],
    ],
    [
      "a service that no gateway has",
      withMore("_sips._ws.example.test SRV 10 5 443 g1.example.test."),
      ["wrong _sips._ws.example.test SRV g1.example.test:443: no gateway is there; - _sips._ws SRV 10 5 443 g1"],
    ],
    [
      "a NAPTR record for it",
      withMore('example.test NAPTR 40 50 "s" "SIPS+D2W" "" _sips._ws.example.test.'),
      ['wrong example.test NAPTR SIPS+D2W: no gateway speaks it; - @ NAPTR 40 50 "s" "SIPS+D2W" "" _sips._ws'],
    ],
    [
      "a NAPTR record that leads elsewhere",
      withChange(/_sip\._udp\.example\.test\.$/, "_sip._udp.example.org."),
      [
        'wrong example.test NAPTR SIP+D2U: leads to _sip._udp.example.org: must lead to _sip._udp.example.test; - @ NAPTR 30 50 "s" "SIP+D2U" "" _sip._udp.example.org.; + @ NAPTR 30 50 "s" "SIP+D2U" "" _sip._udp',
      ],
    ],
    [
      "NAPTR records in another order",
      withChange(/NAPTR 30 50/, "NAPTR 5 50"),
      ["SIPS+D2T", "SIP+D2T", "SIP+D2U"].map(
        (service) => expect.stringMatching(`^wrong example\\.test NAPTR ${service.replace("+", "\\+")}: is in another order`) as string,
      ),
    ],
    [
      "another address",
      withChange(/^(g2\.example\.test A) 192\.0\.2\.2/, "$1 192.0.2.20"),
      [
        "missing g2.example.test A 192.0.2.2: gateway g2 is there; + g2 A 192.0.2.2",
        "wrong g2.example.test A 192.0.2.20: gateway g2 is not there; - g2 A 192.0.2.20",
      ],
    ],
    [
      "no address",
      without(/^g2\.example\.test A/),
      [
        ...["_sips._tcp", "_sip._tcp", "_sip._udp"].map(
          (labels) =>
            expect.stringMatching(
              `^wrong ${labels}\\.example\\.test SRV g2\\.example\\.test:506\\d: g2\\.example\\.test has no address`,
            ) as string,
        ),
        "missing g2.example.test A 192.0.2.2: gateway g2 is there; + g2 A 192.0.2.2",
      ],
    ],
    [
      "an alias",
      (lines) => [
        ...lines.filter((line) => !line.startsWith("g2.")),
        "g2.example.test CNAME real.example.test",
        "real.example.test A 192.0.2.2",
      ],
      ["_sips._tcp", "_sip._tcp", "_sip._udp"].map(
        (labels) => expect.stringMatching(`^wrong ${labels}.*: g2\\.example\\.test is an alias \\(CNAME\\)`) as string,
      ),
    ],
    ["a gateway by another name", (lines) => lines.map((line) => line.replaceAll("g2.example.test", "sip2.example.net")), []],
    ["no zone at all", () => [], Array.from({ length: 11 }, () => expect.stringMatching(/^missing /) as string)],
  ])("names %s", async (_what, change, expected) => {
    expect(await faults(change)).toEqual(expected);
  });

  it("says that a name server gives no answer", async () => {
    const { findings } = await check(plan, () => Promise.resolve({ state: "unknown", reason: "name server 192.0.2.53 failed" }), true);
    expect(findings.every(({ state, text }) => state === "wrong" && text === "name server 192.0.2.53 failed")).toBe(true);
  });
});

async function notes(of: Plan, more: readonly string[] = [], ttl = 60, isAuthoritative = true): Promise<string> {
  const { findings, notes: all } = await check(of, serverOf(of, withMore(...more), ttl, isAuthoritative), true);
  expect(findings.every(({ state }) => state === "right")).toBe(true);
  return all.join("\n");
}

describe("what phones do", () => {
  const even = planWith({ gateways: [gatewayAt("g1", "192.0.2.1"), gatewayAt("g2", "192.0.2.2")] });
  const one = planWith({ gateways: [gatewayAt("g1", "192.0.2.1")] });

  it("is told where weights are unequal, and where there is one target only", async () => {
    expect(await notes(plan)).toMatch(/^Weights are unequal.*\n.*keep the first target.*shares drift$/);
    expect(await notes(even)).toMatch(/^Phones that keep the first target[^\n]*$/);
    expect(await notes(one)).toMatch(/^Gateway g1 is the only target: when it is down no phone has another way\nPhones that keep/);
  });

  it("is told where the domain is a machine's name, what is remembered for long, and who was asked", async () => {
    expect(await notes(even, ["example.test A 192.0.2.1"])).toMatch(
      /^example\.test has an address of its own, 192\.0\.2\.1, that of gateway g1: /,
    );
    expect(await notes(even, ["example.test A 192.0.2.80"])).toMatch(/^example\.test has an address of its own.*where no gateway is\n/);
    expect(await notes(even, [], 3_600)).toMatch(/^Some records are remembered for 3600 s: /);
    expect(await notes(even, [], 60, false)).toMatch(/^The server that was asked is not the zone's own: /);
  });
});
