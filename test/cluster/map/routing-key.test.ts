import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { addressOfRecordOf } from "../../../cluster/map/address-of-record.ts";
import { claimOf } from "../../../cluster/map/claim.ts";
import { exchangeOf, type ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { forwarderOf, routingKeyOf, type RoutingKey } from "../../../cluster/map/routing-key.ts";
import { makeBranch, makeDialogToken, makeViaMark } from "../../../sip/flow/token.ts";

const map: ClusterMap = {
  version: 1,
  cells: [
    { id: "a", url: "http://127.0.0.1:8801" },
    { id: "b", url: "http://127.0.0.1:8802" },
  ],
  exchangeCount: 1000,
  lineCount: 4,
  domains: [{ name: "example.test", auth: "digest" }],
  aliases: ["192.0.2.1", "192.0.2.1:5060", "[2001:db8::1]"],
  heartbeat: { periodMs: 1000, missed: 3 },
  replication: { ackTimeoutMs: 200 },
  flushMs: 1000,
};

const sign = (text: string): string => `s${text.length}`;
const token = makeDialogToken(
  { exchange: 77, cell: "b", madeAt: 1_795_000_000_000, caller: "g1~u0..7f00000113c4", callee: "g1~u0..7f00000213c4" },
  { callId: "call-1", callerTag: "1" },
  sign,
);
const branch = makeBranch({ exchange: 78, reference: "r1", loop: "l1" });
const mark = makeViaMark(branch, { cell: "b", upstream: "g1~u0.7f00000113c4" }, sign);
const bob: RoutingKey = { exchange: exchangeOf(map, "bob@example.test") };
const alice: RoutingKey = { exchange: exchangeOf(map, "alice@example.test") };

const forwarding: RoutingKey = { exchange: exchangeOf(map, "*21%23@example.test") };

function keyOf(text: string): RoutingKey | undefined {
  const octets = octetsOf(text);
  return routingKeyOf(octets, 0, octets.length, map);
}

function request(startLine: string, headers: readonly string[]): string {
  return `${startLine}\r\n${headers.join("\r\n")}\r\n\r\n`;
}

const parties = ["From: <sip:alice@example.test>;tag=1", "To: <sip:bob@example.test>"];

describe("responses: the token in the topmost Via", () => {
  test.each([
    ["plain", `Via: SIP/2.0/UDP 192.0.2.1;branch=${branch};td=${mark}`],
    [
      "compact, with white space and other parameters",
      `v :  SIP / 2.0 / UDP 192.0.2.1:5060 ;rport=1; Branch = ${branch} ;x=y; TD = ${mark} ;z`,
    ],
    ["folded", `Via: SIP/2.0/UDP 192.0.2.1\r\n ;received=192.0.2.9\r\n\t;branch=${branch}\r\n ;td=${mark}`],
    ["first of a list", `Via: SIP/2.0/UDP 192.0.2.1;branch=${branch};td=${mark}, SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx`],
    ["behind another header", `Subject: Via: none\r\nvia: SIP/2.0/UDP 192.0.2.1;branch=${branch};td=${mark}`],
    [
      "behind a quoted parameter that looks like one",
      `Via: SIP/2.0/UDP 192.0.2.1;x=";branch=z9hG4bKtd1.r.l;td=a*f*s";branch=${branch};td=${mark}`,
    ],
  ])("%s", (_name, via) => {
    expect(keyOf(request("SIP/2.0 200 OK", [via, ...parties]))).toEqual({ exchange: 78, cell: "b" });
  });

  test.each([
    ["a foreign branch", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKabc"],
    ["our token in the second value only", `Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx, SIP/2.0/UDP 192.0.2.1;branch=${branch}`],
    ["no branch", "Via: SIP/2.0/UDP 192.0.2.1"],
    ["a quote that never closes", 'Via: SIP/2.0/UDP 192.0.2.1;x="'],
    ["an exchange that this map does not have", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKtdzzzz.r.l"],
    ["no Via", "From: <sip:bob@example.test>"],
  ])("%s: none", (_name, via) => {
    expect(keyOf(request("SIP/2.0 200 OK", [via, ...parties]))).toBeUndefined();
  });
});

describe("the replica that a request comes from: the token in the topmost Via", () => {
  const via = `Via: SIP/2.0/UDP 192.0.2.1;branch=${branch};td=${mark}`;
  const invite = "INVITE sip:bob@192.0.2.9 SIP/2.0";

  test.each([
    ["ours", invite, via, { exchange: 78, cell: "b" }],
    ["a phone's own", invite, "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKabc", undefined],
    ["none", invite, "Subject: x", undefined],
    ["of a response, which is not forwarded by whom it names", "SIP/2.0 200 OK", via, undefined],
  ])("%s", (_name, start, header, key) => {
    expect(forwarderOf(octetsOf(request(start, [header, ...parties])), map)).toEqual(key);
  });
});

describe("requests with our token", () => {
  test.each([
    ["BYE in its topmost Route", request("BYE sip:bob@192.0.2.7 SIP/2.0", [...parties, `Route: <sip:${token}@192.0.2.1;lr>`])],
    [
      "with a display name, list and white space",
      request("BYE sip:x@192.0.2.7 SIP/2.0", [`ROUTE :  "<sip:td1*" <SIPS:${token}@192.0.2.1;lr>, <sip:p.test>`]),
    ],
    [
      "in the Request-URI (a strict router put it there)",
      request(`BYE sip:${token}@192.0.2.1;lr SIP/2.0`, ["Route: <sip:bob@192.0.2.7>", ...parties]),
    ],
    ["even a REGISTER", request("REGISTER sip:example.test SIP/2.0", [`Route: <sip:${token}@192.0.2.1;lr>`, ...parties])],
  ])("%s", (_name, text) => {
    expect(keyOf(text)).toEqual({ exchange: 77, cell: "b" });
  });

  test("a token in the second Route counts behind an outbound proxy that is us, and behind nobody else", () => {
    const proxied = [parties[0] ?? "", "Route: <sip:192.0.2.1:5060;lr>, <sip:example.test;lr>", `Route: <sip:${token}@192.0.2.1;lr>`];
    expect(keyOf(request("BYE sip:bob@192.0.2.7 SIP/2.0", proxied))).toEqual({ exchange: 77, cell: "b" });
    const initial = request("INVITE sip:bob@example.test SIP/2.0", ["Route: <sip:192.0.2.1:5060;lr>", ...parties]);
    expect(keyOf(initial)).toEqual(bob);

    const routes = ["Route: <sip:proxy.test;lr>", `Route: <sip:${token}@192.0.2.1;lr>`];
    expect(keyOf(request("BYE sip:bob@example.test SIP/2.0", [...routes, ...parties]))).toEqual(bob);
  });
});

describe("requests without our token", () => {
  test.each([
    ["REGISTER: To", request("REGISTER sip:example.test SIP/2.0", ["From: <sip:carol@example.test>", "To: <sip:bob@example.test>"]), bob],
    ["REGISTER: compact To, no brackets", request("REGISTER sip:example.test SIP/2.0", ["t: sip:bob@EXAMPLE.test;tag=1"]), bob],
    ["INVITE: Request-URI when the domain is ours", request("INVITE sip:bob@example.test;x=y SIP/2.0", parties), bob],
    [
      "Route before From without a token",
      request("INVITE sip:bob@elsewhere.test SIP/2.0", ["Route: <sip:192.0.2.1;lr>", ...parties]),
      alice,
    ],
    ["an alias, with its port", request("INVITE sip:bob@192.0.2.1:5060 SIP/2.0", parties), bob],
    ["an IPv6 alias", request("INVITE sip:bob@[2001:DB8::1];transport=udp SIP/2.0", parties), bob],
    ["sips, escapes and a password", request("INVITE SIPS:b%6Fb:secret@example.test:5071?a=b SIP/2.0", parties), bob],
    ["`#` as many phones send it", request("INVITE sip:*21#@example.test SIP/2.0", parties), forwarding],
    ["`#` as the grammar wants it", request("INVITE sip:%2a21%23@example.test;user=phone SIP/2.0", parties), forwarding],
    ["CRLF before the start line", `\r\n\r\n${request("INVITE sip:bob@example.test SIP/2.0", parties)}`, bob],
    ["INVITE to elsewhere: From", request("INVITE sip:bob@192.0.2.1:5080 SIP/2.0", parties), alice],
    [
      "INVITE to elsewhere: an alias at any port in From",
      request("INVITE sip:x@elsewhere.test SIP/2.0", ["From: <sip:alice@[2001:db8:0::1]:9>"]),
      alice,
    ],
    ["a final dot", request("INVITE sip:bob@example.test. SIP/2.0", parties), bob],
    ["tel: From", request("INVITE tel:+358 SIP/2.0", ['f: "Alice; \\"<sip:bob@example.test>" <sip:alice@example.test>;tag=1']), alice],
    ["From without a display name, folded", request("INVITE tel:+358 SIP/2.0", ["From:\r\n sip:alice@example.test;tag=1"]), alice],
  ])("%s", (_name, text, key) => {
    expect(keyOf(text)).toEqual(key);
  });

  test("the domain without a user", () => {
    expect(keyOf(request("OPTIONS sip:example.test SIP/2.0", parties))).toEqual({ exchange: exchangeOf(map, "@example.test") });
  });

  test("nothing of ours: none", () => {
    expect(keyOf(request("INVITE sip:bob@elsewhere.test SIP/2.0", ["From: <sip:x@elsewhere.test>"]))).toBeUndefined();
    expect(keyOf(request("REGISTER sip:example.test SIP/2.0", ["From: <sip:bob@example.test>"]))).toBeUndefined();
  });

  test("[RFC3261 9.1] [RFC3261 17.1.1.3] CANCEL and ACK go where their INVITE went", () => {
    for (const uri of ["sip:bob@example.test", "sip:bob@elsewhere.test"]) {
      const keys = ["INVITE", "CANCEL", "ACK"].map((method) => keyOf(request(`${method} ${uri} SIP/2.0`, parties)));
      expect(new Set(keys.map((key) => key?.exchange)).size).toBe(1);
    }
  });
});

test("agrees with the parser on every message that the parser takes", () => {
  const user = fc.stringMatching(/^[a-z0-9;?&=+$,/%#|{\u00c3^-]{1,8}$/);
  const host = fc.constantFrom(
    "example.test",
    "EXAMPLE.TEST",
    "elsewhere.test",
    "192.0.2.1",
    "192.0.2.1:5060",
    "[2001:db8::1]",
    "[2001:DB8:0::1]:7777",
    "192.0.2.1:9999",
    "192.000.002.001",
    "example.test.",
    "example.test:99",
  );
  const uri = fc
    .tuple(fc.constantFrom("sip:", "sips:", "SIP:"), fc.option(user, { nil: undefined }), host, fc.constantFrom("", ";lr", "?a=b"))
    .map(([scheme, name, place, rest]) => `${scheme}${name === undefined ? "" : `${name}@`}${place}${rest}`);
  const display = fc.constantFrom("", "Bob ", '"a <sip:x@example.test> \\" b" ', "\r\n ");
  const party = fc.tuple(display, uri).map(([name, text]) => `${name}<${text}>;tag=1`);
  fc.assert(
    fc.property(fc.constantFrom("INVITE", "REGISTER", "MESSAGE"), uri, party, party, fc.boolean(), (method, target, from, to, compact) => {
      const headers = [`${compact ? "f" : "From"}: ${from}`, "Via: SIP/2.0/UDP h;branch=z9hG4bK1", `${compact ? "t" : "To"}: ${to}`];
      const octets = octetsOf(request(`${method} ${target} SIP/2.0`, headers));
      const message = parseMessage(octets);
      if (isParseError(message)) return;
      const parsed = [method === "REGISTER" ? message.to : message.parsedRequestUri, ...(method === "REGISTER" ? [] : [message.from])];
      let expected: RoutingKey | undefined;
      for (const each of parsed) {
        const found = isParseError(each) || !("displayName" in each) ? each : each.parsedUri;
        if (isParseError(found)) return;
        // From claims what it says at any port; a Request-URI and a To at another one are somewhere else.
        const isFrom = method !== "REGISTER" && each !== parsed[0];
        const addressOfRecord = isFrom ? claimOf(map, found).addressOfRecord : addressOfRecordOf(map, found);
        if (expected === undefined && addressOfRecord !== undefined) expected = { exchange: exchangeOf(map, addressOfRecord) };
      }
      expect(routingKeyOf(octets, 0, octets.length, map)).toEqual(expected);
    }),
    { numRuns: 2000 },
  );
});

test("never throws and never hangs, whatever the octets and wherever they end", () => {
  const piece = fc.constantFrom(
    "\r\n",
    " ",
    ":",
    "<",
    ">",
    '"',
    "\\",
    ";",
    "@",
    "sip:",
    "SIP/2.0 ",
    "Via",
    "v:",
    "Route:",
    "From:",
    "To:",
    "branch=",
    token,
    branch,
    "REGISTER ",
    "\0",
    "ÿ",
    "[",
    ",",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.nat(50), (pieces, cut) => {
      const octets = octetsOf(pieces.join(""));
      const key = routingKeyOf(octets, 0, Math.max(0, octets.length - cut), map);
      expect(key === undefined || key.exchange < map.exchangeCount).toBe(true);
    }),
    { numRuns: 3000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (octets) => {
      expect(() => routingKeyOf(octets, 0, octets.length, map)).not.toThrow();
    }),
    { numRuns: 1000 },
  );
});
