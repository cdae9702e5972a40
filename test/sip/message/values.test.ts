import { describe, expect, test } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import type { ParseError } from "../../../sip/errors.ts";
import { listValuesMax } from "../../../sip/limits.ts";
import { Header, canonicalHeaderName, headerIdAt } from "../../../sip/message/header-names.ts";
import { parseNameAddr } from "../../../sip/message/name-addr.ts";
import { octetLengthOf, octetsOf, stringOf, writeText } from "../../../sip/message/octets.ts";
import { parseParams, quote, unquote } from "../../../sip/message/params.ts";
import type { Params } from "../../../sip/message/params.ts";
import { parseVia } from "../../../sip/message/via.ts";

function valueOf<T>(value: T | ParseError): T {
  if (isParseError(value)) throw new Error(`${value.error}: ${value.reason}`);
  return value;
}

function params(text: string): Params {
  return valueOf(parseParams(text, 0));
}

function manyParams(count: number): string {
  return Array.from({ length: count }, (_, i) => `;p${i}`).join("");
}

describe("octets", () => {
  test("one octet is one char, whichever", () => {
    const octets = Uint8Array.from({ length: 10_000 }, (_, i) => i & 0xff);
    expect(octetsOf(stringOf(octets))).toEqual(octets);
    expect(stringOf(octets, 65, 68)).toBe("ABC");
    expect(stringOf(octets, 9_999, 20_000)).toHaveLength(1);
    expect(stringOf(octets, 5, 5)).toBe("");
  });

  test.each(["ж", "€", "😀", "a😀€b"])("%s above U+00FF leaves as UTF-8", (text) => {
    expect(octetsOf(text)).toEqual(new TextEncoder().encode(text));
    expect(octetsOf(text)).toHaveLength(octetLengthOf(text));
  });

  test("a lone surrogate becomes U+FFFD", () => {
    expect([...octetsOf("\ud800x")]).toEqual([0xef, 0xbf, 0xbd, 0x78]);
    expect([...octetsOf("x\ud800")]).toEqual([0x78, 0xef, 0xbf, 0xbd]);
  });

  test("writeText tells where it stopped", () => {
    const target = new Uint8Array(5);
    expect(writeText(target, 1, "ab")).toBe(3);
    expect([...target]).toEqual([0, 0x61, 0x62, 0, 0]);
  });
});

describe("[RFC3261 7.3.1, 7.3.3] header names", () => {
  const compact: readonly (readonly [string, number])[] = [
    ["v", Header.Via],
    ["f", Header.From],
    ["t", Header.To],
    ["i", Header.CallId],
    ["m", Header.Contact],
    ["l", Header.ContentLength],
    ["c", Header.ContentType],
    ["e", Header.ContentEncoding],
    ["k", Header.Supported],
    ["s", Header.Subject],
    ["o", Header.Event],
    ["u", Header.AllowEvents],
    ["r", Header.ReferTo],
    ["b", Header.ReferredBy],
    ["x", Header.SessionExpires],
  ];

  test.each(compact)("compact form %s", (name, id) => {
    for (const spelling of [name, name.toUpperCase()]) expect(headerIdAt(octetsOf(spelling), 0, 1)).toBe(id);
  });

  test("every known name, in any case", () => {
    for (const id of Object.values(Header)) {
      const name = canonicalHeaderName(id);
      expect(name).not.toBe("");
      for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
        const octets = octetsOf(`xx${spelling}:`);
        expect(headerIdAt(octets, 2, 2 + spelling.length)).toBe(id);
      }
    }
  });

  test("unknown names have no id", () => {
    for (const name of ["", "Q", "Vi", "Viaa", "Contacts", "constructor", "__proto__", "Call ID"]) {
      expect(headerIdAt(octetsOf(name), 0, name.length)).toBe(0);
    }
  });
});

describe("[RFC3261 25.1] parameters", () => {
  test("white space around ; and =, names in any case, values as they stand", () => {
    const parsed = params(' ; Tag = a ;q=0.5;x;quoted = "a;b,\\"c\\"" ; host=[::1]');
    expect(parsed.entries()).toEqual([
      ["tag", "a"],
      ["q", "0.5"],
      ["x", ""],
      ["quoted", '"a;b,\\"c\\""'],
      ["host", "[::1]"],
    ]);
    expect(unquote(parsed.get("quoted") ?? "")).toBe('a;b,"c"');
    expect(parsed.has("x")).toBe(true);
    expect(parsed.get("y")).toBeUndefined();
  });

  test.each([";", ";;a", "a", ";a=", ";a=b c", ';a="b', ';a="b"c', ";a=b,c", ";=b", ";a;a", ";A=1;a=2", ";a=<b>"])(
    "%j is malformed",
    (text) => {
      expect(parseParams(text, 0)).toMatchObject({ status: 400 });
    },
  );

  test("no more parameters than a list may have values", () => {
    expect(params(manyParams(listValuesMax)).size).toBe(listValuesMax);
    expect(parseParams(manyParams(listValuesMax + 1), 0)).toMatchObject({ error: "params-max", status: 400 });
  });

  test("changing makes new ones", () => {
    const parsed = params(";a=1;b");
    expect(parsed.with("a", "2").with("c").serialize()).toBe(";a=2;b;c");
    expect(parsed.without("a").without("z").serialize()).toBe(";b");
    expect(parsed.serialize()).toBe(";a=1;b");
  });

  test("quote and unquote are inverses", () => {
    expect(unquote(quote('a"\\b'))).toBe('a"\\b');
    expect(quote("a\r\nb")).toBe('"a  b"');
    expect(unquote("plain")).toBe("plain");
    expect(unquote('"')).toBe('"');
  });
});

describe("[RFC3261 20.42] Via", () => {
  test("all parts", () => {
    const via = valueOf(parseVia("SIP/2.0/udp Erlang.Bell-Telephone.com:5060;received=192.0.2.207;branch=z9hG4bK87asdks7;rport=9988;x"));
    expect(via).toMatchObject({
      transport: "UDP",
      host: "erlang.bell-telephone.com",
      port: 5060,
      branch: "z9hG4bK87asdks7",
      received: "192.0.2.207",
      rport: 9988,
    });
    expect(via.params.has("x")).toBe(true);
  });

  test("the RFC's example with white space everywhere", () => {
    const via = valueOf(parseVia("SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1"));
    expect(via).toMatchObject({ transport: "UDP", host: "first.example.com", port: 4000, branch: "z9hG4bKa7c6a8dlze.1" });
    expect(via.params.get("maddr")).toBe("224.2.0.1");
  });

  test.each([
    ["", undefined],
    [";rport", true],
    [";rport=1", 1],
  ])("[RFC3581 3] rport in %j", (text, rport) => {
    expect(valueOf(parseVia(`SIP/2.0/UDP a${text}`)).rport).toBe(rport);
  });

  test.each([
    ["2001:db8::9:255", "2001:db8::9:255"],
    ["[2001:DB8::9:255]", "2001:db8::9:255"],
    ["192.0.2.1", "192.0.2.1"],
  ])("[RFC5118 4.5] received=%s", (text, received) => {
    expect(valueOf(parseVia(`SIP/2.0/UDP [2001:db8::9:1]:5061;received=${text};branch=x`))).toMatchObject({
      host: "[2001:db8::9:1]",
      port: 5061,
      received,
      branch: "x",
    });
  });

  test.each([
    "",
    "SIP/2.0 UDP a",
    "SIP/2.0/UDP",
    "SIP/2.0/UDPa",
    "SIP//UDP a",
    "/2.0/UDP a",
    "SIP/2.0/ a",
    "SIP/2.0/UDP ;branch=x",
    "SIP/2.0/UDP a:70000",
    "SIP/2.0/UDP a b",
    "SIP/2.0/UDP a;branch",
    "SIP/2.0/UDP a;received=host",
    "SIP/2.0/UDP a;received",
    "SIP/2.0/UDP a;rport=x",
    "SIP/2.0/UDP a;rport=65536",
    "SIP/2.0/UDP a;branch=1;branch=2",
    "SIP/2.0/UDP 2001:db8::1",
  ])("%j is malformed", (text) => {
    expect(parseVia(text)).toMatchObject({ status: 400 });
  });
});

describe("[RFC3261 20.10, 20.20] name-addr and addr-spec", () => {
  test.each([
    [
      '"Mr. Watson" <sip:watson@worcester.bell-telephone.com>;q=0.7',
      '"Mr. Watson"',
      "sip:watson@worcester.bell-telephone.com",
      [["q", "0.7"]],
    ],
    ["sip:caller@xyz.example;tag=1", "", "sip:caller@xyz.example", [["tag", "1"]]],
    ["<sip:a@b;lr>;x", "", "sip:a@b;lr", [["x", ""]]],
    ["Bob Smith <sip:a@b>", "Bob Smith", "sip:a@b", []],
    ["Bob<sip:a@b>", "Bob", "sip:a@b", []],
    ['"a<b>,;\\"" <sip:a@b>', '"a<b>,;\\""', "sip:a@b", []],
    ["<sip:a,b;c?d=e@host>", "", "sip:a,b;c?d=e@host", []],
    ["M\xc3\xbcller <sip:a@b>", "M\xc3\xbcller", "sip:a@b", []],
    [
      '<sip:a@b>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>";reg-id=1',
      "",
      "sip:a@b",
      [
        ["+sip.instance", '"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'],
        ["reg-id", "1"],
      ],
    ],
    ["*", "", "*", []],
  ])("%s", (text, displayName, uri, entries) => {
    const nameAddr = valueOf(parseNameAddr(text));
    expect(nameAddr).toMatchObject({ displayName, uri, text });
    expect(nameAddr.params.entries()).toEqual(entries);
  });

  test.each([
    ['""name"" <sip:a@b>;tag=1', '""name""', '"name" <sip:a@b>;tag=1'],
    ['""Desk 1 (2nd) M\xc3\xbcller""<sip:a@b>', '""Desk 1 (2nd) M\xc3\xbcller""', '"Desk 1 (2nd) M\xc3\xbcller"<sip:a@b>'],
    ['  """" <sip:a@b>', '""""', '  "" <sip:a@b>'],
    ['"" <sip:a@b>', '""', undefined],
    ['"name" <sip:a@b>', '"name"', undefined],
  ])("%s: a display name in two pairs of quotes is one, and is mended", (text, displayName, mended) => {
    expect(valueOf(parseNameAddr(text))).toMatchObject({ displayName, uri: "sip:a@b", text, mended });
  });

  test.each([
    "",
    ";tag=1",
    "<>",
    // In two pairs of quotes nothing may stand that others might take for an end.
    '""a"b"" <sip:a@b>',
    '""a\\"" <sip:a@b>',
    '""a,b"" <sip:a@b>',
    '""a;b"" <sip:a@b>',
    '""<sip:x@y>"" <sip:a@b>',
    '""a" <sip:a@b>',
    '""a""',
    '""a"" x <sip:a@b>',
    "<sip:a@b",
    '"Bob <sip:a@b>',
    '"Bob" sip:a@b',
    '"Bob" x <sip:a@b>',
    "Bell, Alexander <sip:a@b>",
    "sip:a@b?Route=x",
    "sip:a@b,c",
    "sip:a@b c",
    "<sip:a@b>x",
    "<sip:a@b>;",
    "<sip:a@b>;tag=1;tag=2",
    "sip:a@b>",
    "Bob sip:a@b",
  ])("%j is malformed", (text) => {
    expect(parseNameAddr(text)).toMatchObject({ status: 400 });
  });
});
