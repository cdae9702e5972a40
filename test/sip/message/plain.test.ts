import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import type { ParseError } from "../../../sip/errors.ts";
import { listValuesMax } from "../../../sip/limits.ts";
import { decimalOf } from "../../../sip/message/characters.ts";
import { endOfValue } from "../../../sip/message/header-lines.ts";
import { parseNameAddr } from "../../../sip/message/name-addr.ts";
import type { NameAddr } from "../../../sip/message/name-addr.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { plainNameAddrAt } from "../../../sip/message/plain-name-addr.ts";
import { plainCSeqAt, plainNumberAt } from "../../../sip/message/plain-numbers.ts";
import { isPlainSipUriAt } from "../../../sip/message/plain-uri.ts";
import { plainViaAt } from "../../../sip/message/plain-via.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import { isSipUri, parseUri } from "../../../sip/message/uri.ts";
import { parseVia } from "../../../sip/message/via.ts";
import type { Via } from "../../../sip/message/via.ts";

/** Octets around the value, which no reader may look at. */
const before = ";tag=x,<";
const behind = ">;tag=9;a:1";

/** What a reader makes of a text that stands in the middle of other octets. */
function at<T>(text: string, read: (octets: Uint8Array, start: number, end: number) => T): T {
  return read(octetsOf(before + text + behind), before.length, before.length + text.length);
}

/** What stands before the first comma of a list, as text. */
function firstValue(octets: Uint8Array, start: number, end: number): string {
  return stringOf(octets, start, endOfValue(octets, start, end));
}

function viaFields(value: Via | ParseError | undefined): unknown {
  if (value === undefined || isParseError(value)) return value;
  const { transport, host, port, branch, received, rport, params, text } = value;
  return { transport, host, port, branch, received, rport, params: params.entries(), text };
}

function nameAddrFields(value: NameAddr | ParseError | undefined): unknown {
  if (value === undefined || isParseError(value)) return value;
  const { displayName, uri, uriError, parsedUri, tag, params, text } = value;
  return { displayName, uri, uriError, parsedUri, tag, params: params.entries(), text };
}

/** One of the choices, the first mostly. */
function choose(choices: readonly string[]): fc.Arbitrary<string> {
  const first = { weight: 3, arbitrary: fc.constant(choices[0] ?? "") };
  return fc.oneof(first, { weight: 1, arbitrary: fc.constantFrom(...choices) });
}

/** Valid values, of the first choices mostly, and what is nearly one: each has some chars taken out, put in or repeated. */
function nearly(parts: readonly (readonly string[])[]): fc.Arbitrary<string> {
  const whole = fc.tuple(...parts.map(choose)).map((texts) => texts.join(""));
  const hostile = fc.constantFrom(
    ..." \t\r\n\0\u007f\u0080\u00a0\u00ff;;==,<>\"\\:@?%[]./-09aZ*+'".split(""),
    "tag",
    ";tag=y",
    ";branch=",
    "%41",
  );
  const change = fc.tuple(fc.nat(200), fc.nat(2), hostile);
  return fc.tuple(whole, fc.array(change, { maxLength: 2 })).map(([text, changes]) =>
    changes.reduce((changed, [where, gone, put]) => {
      const i = where % (changed.length + 1);
      return changed.slice(0, i) + put + changed.slice(i + gone);
    }, text),
  );
}

/** A Via value. */
function via(n: number): string {
  return `SIP/2.0/UDP h${n};branch=z9hG4bK${n}`;
}

const hosts = [
  "192.0.2.1",
  "example.test",
  "a.b-c.d_e",
  "Example.TEST",
  "1.2.3",
  "300.1.1.1",
  "01.2.3.4",
  "host.",
  "a..b",
  "4.com",
  "[::1]",
  "",
];
const ports = ["", ":5060", ":0", ":65535", ":65536", ":00080", ":000080", ":", ": 5"];
const uriParams = ["", ";lr", ";transport=udp", ";lr;LR", ";a=", ";a=%41", ";ob;x=1:2", ";@", "?a=b"];
const users = ["", "alice@", "@", "al:secret@", "*98#@", "a;b=c@", "%61@", "a@b@", "a b@"];
const schemes = ["sip:", "sips:", "SIP:", "tel:", "sip", "", "im:"];
const uris = [schemes, users, hosts, ports, uriParams];
const params = [
  "",
  ";tag=1",
  ";TAG=Ab",
  ";tag",
  ";tag=",
  ';tag="q"',
  " ; tag = x",
  ";x;tag=2",
  ";q=0.5;expires=60",
  ";tag=1;tag=2",
  ';i="<urn:a;b>"',
  ';i="\\""',
];
const viaParams = [
  "",
  ";branch=z9hG4bK1",
  ";Branch=z9",
  ";branch",
  ";branch=",
  ";received=192.0.2.9",
  ";received=x",
  ";received=[::1]",
  ";received",
];
const rports = ["", ";rport", ";rport=5", ";rport=99999", ";rport=x", ";rport=000001", ";alias;keep", ";t=a.b", ";rport;rport"];

describe("what stands in a message in the plain form is read from its octets as from its text", () => {
  test("Via", () => {
    let plains = 0;
    const vias = nearly([
      ["SIP/2.0/", "SIP / 2.0 / ", "sip/2.0/", "SIP/1.0/"],
      ["UDP", "wss", "TLS", "SCTP", "X-y"],
      [" ", "  ", "\t", ""],
      hosts,
      ports,
      viaParams,
      rports,
    ]);
    fc.assert(
      fc.property(vias, (text) => {
        const plain = at(text, plainViaAt);
        plains += plain === undefined ? 0 : 1;
        expect(viaFields(plain)).toEqual(plain === undefined ? undefined : viaFields(parseVia(at(text, firstValue))));
      }),
      { numRuns: 3_000 },
    );
    expect(plains).toBeGreaterThan(100);
  });

  test("name-addr", () => {
    let plains = 0;
    const names = ["", '"Alice" ', '"a\\"b"', '""', "Alice B ", "Zoë\t", "a:b ", '"x', "'q'"];
    const nameAddrs = nearly([names, ["<", ""], ...uris, [">", "", ">>"], params]);
    fc.assert(
      fc.property(nameAddrs, (text) => {
        const plain = at(text, plainNameAddrAt);
        plains += plain === undefined ? 0 : 1;
        expect(nameAddrFields(plain)).toEqual(plain === undefined ? undefined : nameAddrFields(parseNameAddr(at(text, firstValue))));
      }),
      { numRuns: 3_000 },
    );
    expect(plains).toBeGreaterThan(100);
  });

  test("URIs: none that is malformed is taken for well-formed", () => {
    let plains = 0;
    fc.assert(
      fc.property(nearly(uris), (text) => {
        const uri = parseUri(text);
        const isSound = !isParseError(uri) && isSipUri(uri) && uri.headers === "";
        const isPlain = at(text, isPlainSipUriAt);
        plains += isPlain ? 1 : 0;
        expect(isPlain && !isSound).toBe(false);
      }),
      { numRuns: 3_000 },
    );
    expect(plains).toBeGreaterThan(100);
  });

  test("numbers", () => {
    fc.assert(
      fc.property(nearly([["0", "70", "007", "999999999999999", "9999999999999999"]]), (text) => {
        const number = at(text, plainNumberAt);
        expect(number).toBe(number < 0 ? -1 : decimalOf(text, 0, text.length));
      }),
    );
  });

  test.each([
    "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK-524287-1---5c8d3ab0f1;rport=41822;received=198.51.100.9",
    "SIP/2.0/WSS 8vgt5ruscnbp.invalid;branch=z9hG4bK6421785",
    "SIP/2.0/TCP host;rport",
  ])("%s is plain", (text) => {
    const plain = at(text, plainViaAt);
    expect(viaFields(plain)).toEqual(viaFields(parseVia(text)));
    expect(plain?.text).toBe(text);
  });

  test.each([
    "<sip:bob@example.test>",
    '"Alice" <sip:alice@example.test>;tag=7hrs8ufqa1',
    '<sip:a@192.0.2.7:5060;transport=udp>;+sip.instance="<urn:uuid:0>";reg-id=1',
    "A B <tel:+1>;tag",
  ])("%s is plain", (text) => {
    const nameAddr = at(text, plainNameAddrAt);
    expect(nameAddrFields(nameAddr)).toEqual(nameAddrFields(parseNameAddr(text)));
    expect(nameAddr?.text).toBe(text);
  });

  test.each(["sip:bob@example.test", "sips:192.0.2.1:5061;lr;t=a.b.c", "sip:a.b.c:1", "sip:*98#@host;transport=tcp;ob"])(
    "%s is plain",
    (text) => {
      expect(at(text, isPlainSipUriAt)).toBe(true);
    },
  );

  test("CSeq", () => {
    expect(at("1 INVITE", plainCSeqAt)).toEqual({ number: 1, method: "INVITE" });
    expect(at("4711 x-new", plainCSeqAt)).toEqual({ number: 4711, method: "x-new" });
    for (const text of [
      "",
      "1",
      "1 ",
      " INVITE",
      "1\tINVITE",
      "1  INVITE",
      "1 A B",
      "x INVITE",
      "1 INVITE,",
      "-1 INVITE",
      "9999999999999999 ACK",
    ]) {
      expect(at(text, plainCSeqAt)).toBeUndefined();
    }
  });
});

describe("what is not in the plain form is read by way of its text, with the same errors", () => {
  const head = ["INVITE sip:bob@example.test SIP/2.0"];
  const read = (line: string) => {
    const message = parseMessage(octetsOf(`${[...head, line].join("\r\n")}\r\n\r\n`));
    if (isParseError(message)) throw new Error(message.reason);
    return message;
  };

  test("lists: over commas and lines, some of them not plain", () => {
    const readVias = (line: string): unknown => {
      const { vias, topVia } = read(line);
      if (isParseError(vias) || isParseError(topVia)) return vias;
      expect(vias[0]?.text).toBe(topVia.text);
      return vias.map(({ host, branch }) => `${host} ${branch}`);
    };
    const both = ["h1 z9hG4bK1", "h2 z9hG4bK2"];
    expect(readVias(`Via: ${via(1)},${via(2)}`)).toEqual(both);
    expect(readVias(`Via: ${via(1)}, ${via(2)},`)).toEqual(both);
    expect(readVias(`Via: ${via(1)} ,, ${via(2)}`)).toEqual(both);
    expect(readVias(`Via: ${via(1)}\r\nv: ${via(2)}`)).toEqual(both);
    expect(readVias(`Via: ${via(1)}\r\nVia:\r\nVia: SIP / 2.0/UDP h2 ; branch=z9hG4bK2`)).toEqual(both);
    expect(readVias(`Via:\r\nVia: ${via(1)}`)).toMatchObject({ error: "via", status: 400 });
    expect(readVias(`Via: ,${via(1)}`)).toMatchObject({ error: "via", status: 400 });
    expect(readVias(`Via: ${via(1)}, x`)).toMatchObject({ error: "via", status: 400 });
    const routes = read('Route: <sip:a,b>;x="1,2",<sip:c;lr>\r\nRoute:  "q" <sip:d> , sip:e').routes;
    expect(isParseError(routes) ? routes : routes.map(({ uri }) => uri)).toEqual(["sip:a,b", "sip:c;lr", "sip:d", "sip:e"]);
    expect(read("Route: <sip:a>, <sip:b").routes).toMatchObject({ error: "name-addr", status: 400 });
    expect(read("Contact: <sip:a>, *").contacts).toMatchObject({ error: "contact", status: 400 });
    expect(read("From: <sip:a@b>;tag=1,<sip:c@d>").from).toMatchObject({ error: "params", status: 400 });
  });

  test("no more values than a list may have", () => {
    const list = Array.from({ length: listValuesMax }, () => "<sip:a>").join(",");
    expect(read(`Route: ${list}`).routes).toHaveLength(listValuesMax);
    expect(read(`Route: ${list},<sip:b>`).routes).toMatchObject({ error: "list-max", status: 400 });
  });

  test("folded, spaced, escaped", () => {
    expect(read("Via: SIP/2.0/UDP\r\n host ; branch = z9hG4bK1").topVia).toMatchObject({ host: "host", branch: "z9hG4bK1" });
    expect(read("CSeq: 1\r\n INVITE").cSeq).toEqual({ number: 1, method: "INVITE" });
    expect(read("CSeq: 1 \t INVITE").cSeq).toEqual({ number: 1, method: "INVITE" });
    expect(read("Max-Forwards: 70\r\n ").maxForwards).toBe(70);
    expect(read('From: "A \\" B" <sip:a@b>;tag=1').fromTag).toBe("1");
    expect(read("To: sip:a@b ; tag=2").toTag).toBe("2");
    expect(read("To: <sip:a@b>;tag").toTag).toBe("");
    expect(read("Contact: *").contacts).toBe("*");
  });

  test.each([
    ["Via: SIP/2.0/UDP host;branch=", "params"],
    ["Via: SIP/2.0/UDP host;branch", "via-branch"],
    ["Via: SIP/2.0/UDP host;received=1.2.3.400", "via-received"],
    ["Via: SIP/2.0/UDP host;rport=70000", "via-rport"],
    ["Via: SIP/2.0/UDP 1.2.3.400", "host"],
    ["Via: SIP/2.0/UDP host:70000", "port"],
    ["Via: SIP/2.0/UDP host;a=1;A=2", "duplicate-param"],
  ])("%s", (line, error) => {
    expect(read(line).topVia).toMatchObject({ error, status: 400 });
  });

  test.each([
    ["From: <sip:a@b", "name-addr"],
    ["From: <>;tag=1", "name-addr"],
    ["From: <sip:a@b>;tag=1;tag=2", "duplicate-param"],
    ["From: <sip:a@b>;tag=", "params"],
    ["From: <sip:a@b>x", "params"],
    ['From: "a <sip:a@b>', "display-name"],
  ])("%s", (line, error) => {
    const message = read(line);
    expect(message.from).toMatchObject({ error, status: 400 });
    expect(message.fromTag).toBeUndefined();
  });

  test.each(["CSeq: INVITE", "CSeq: 1", "CSeq: 1INVITE", "CSeq: 1 IN VITE", "CSeq: -1 INVITE"])("%s", (line) => {
    expect(read(line).cSeq).toMatchObject({ error: "cseq", status: 400 });
  });

  test.each(["Max-Forwards: x", "Max-Forwards: -1", "Max-Forwards: 7 0", "Max-Forwards:"])("%s", (line) => {
    expect(read(line).maxForwards).toMatchObject({ error: "max-forwards", status: 400 });
  });

  test("numbers too large stay so", () => {
    expect(read("Max-Forwards: 99999999999999999999").maxForwards).toBe(Number.MAX_SAFE_INTEGER);
    expect(read("CSeq: 99999999999999999999 INVITE").cSeq).toMatchObject({ number: Number.MAX_SAFE_INTEGER });
  });
});
