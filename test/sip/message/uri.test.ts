import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { startLineOctetsMax } from "../../../sip/limits.ts";
import { equalUris, escapeUser, isSipUri, parseUri, serializeUri, unescapeUri } from "../../../sip/message/uri.ts";
import type { SipUri, Uri } from "../../../sip/message/uri.ts";

function uri(text: string): Uri {
  const parsed = parseUri(text);
  if (isParseError(parsed)) throw new Error(`${text}: ${parsed.reason}`);
  return parsed;
}

function sipUri(text: string): SipUri {
  const parsed = uri(text);
  if (!isSipUri(parsed)) throw new Error(`${text}: no SIP URI`);
  return parsed;
}

describe("[RFC3261 19.1.1] SIP and SIPS URI components", () => {
  test("every component at once", () => {
    const parsed = sipUri("sip:alice:secretword@Atlanta.COM:5070;transport=tcp;lr?subject=project%20x&priority=urgent");
    expect(parsed).toMatchObject({ scheme: "sip", user: "alice", password: "secretword", host: "atlanta.com", port: 5070 });
    expect(parsed.params.entries()).toEqual([
      ["transport", "tcp"],
      ["lr", ""],
    ]);
    expect(parsed.headers).toBe("subject=project%20x&priority=urgent");
  });

  test.each([
    ["sip:alice@atlanta.com", "alice", "atlanta.com"],
    ["sip:alice:secretword@atlanta.com;transport=tcp", "alice", "atlanta.com"],
    ["sips:alice@atlanta.com?subject=project%20x&priority=urgent", "alice", "atlanta.com"],
    ["sip:+1-212-555-1212:1234@gateway.com;user=phone", "+1-212-555-1212", "gateway.com"],
    ["sips:1212@gateway.com", "1212", "gateway.com"],
    ["sip:alice@192.0.2.4", "alice", "192.0.2.4"],
    ["sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com", undefined, "atlanta.com"],
    ["sip:alice;day=tuesday@atlanta.com", "alice;day=tuesday", "atlanta.com"],
  ])("[RFC3261 19.1.3] the RFC's example %s", (text, user, host) => {
    expect(sipUri(text)).toMatchObject({ user, host });
    expect(serializeUri(uri(text))).toBe(text);
  });

  test("the scheme is case-insensitive, the user is not", () => {
    expect(sipUri("SIPS:Bob@Example.COM")).toMatchObject({ scheme: "sips", user: "Bob", host: "example.com" });
  });

  test("[RFC3261 19.1.1] a parameter name must not stand twice", () => {
    expect(parseUri("sip:a@b;x=1;X=2")).toMatchObject({ error: "duplicate-param", status: 400 });
    expect(parseUri("sip:a@b;%6Cr;lr")).toMatchObject({ error: "duplicate-param" });
  });

  test("a raw # in the user is let through: phones dial feature codes so", () => {
    expect(sipUri("sip:*98#@example.com").user).toBe("*98#");
  });

  test.each([
    "sip:",
    "sip:@host",
    "sip:a@",
    "sip:a@@b",
    "sip:a b@host",
    "sip:a%2@host",
    "sip:a%GG@host",
    "sip:host:",
    "sip:host:65536",
    "sip:host:99999999999999999999",
    "sip:host:5x",
    "sip:ho st",
    "sip:host;",
    "sip:host;;a",
    "sip:host;a=b c",
    "sip:host?",
    "sip:host?a=<",
    "sip:1.2.3.256",
    "sip:1.2.3",
    "sip:1.2.3.4.5",
    "sip:a..b",
    "sip:.a",
    "sip:[::1",
    "sip:[::g]",
    "sip:[1:2:3:4:5:6:7:8:9]",
    "sip:[::1]x",
    "sip:2001:db8::10",
    "<sip:a@b>",
    "sip",
    ":a@b",
    "1sip:a@b",
    "tel:",
    "tel:+",
    "tel:12x;",
    "http:",
    "http://a b",
    "",
  ])("%j is malformed", (text) => {
    expect(parseUri(text)).toMatchObject({ status: 400 });
  });

  test.each([
    ["[2001:db8::10]", "[2001:db8::10]"],
    ["[2001:DB8::10]", "[2001:db8::10]"],
    ["[::]", "[::]"],
    ["[::1]", "[::1]"],
    ["[1::]", "[1::]"],
    ["[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]"],
    ["[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8]"],
    ["[2001:db8:::192.0.2.1]", "[2001:db8::192.0.2.1]"],
    ["a_b.example.", "a_b.example."],
    ["3f2a9c1b", "3f2a9c1b"],
  ])("[RFC3261 25.1][RFC5118 4] host %s", (text, host) => {
    expect(sipUri(`sip:x@${text}:5060;lr`)).toMatchObject({ host, port: 5060 });
  });

  test("a URI longer than a start line may be is 414", () => {
    expect(parseUri(`sip:${"a".repeat(startLineOctetsMax)}@b`)).toMatchObject({ status: 414 });
  });
});

describe("[RFC3261 19.1.4] comparison", () => {
  test.each([
    ["sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"],
    ["sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"],
    ["sip:carol@chicago.com", "sip:carol@chicago.com;security=on"],
    ["sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"],
    [
      "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
      "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ],
    ["sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x"],
    ["sip:a@[2001:db8::9:1]", "sip:a@[2001:DB8:0::9:01]"],
    ["sip:a@b;%6Cr;n%61me=v%61lue", "sip:a@b;name=value;lr"],
    ["sip:a%3bb@c", "sip:a%3Bb@c"],
  ])("%s equals %s", (a, b) => {
    expect(equalUris(uri(a), uri(b))).toBe(true);
    expect(equalUris(uri(b), uri(a))).toBe(true);
  });

  test.each([
    ["SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"],
    ["sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"],
    ["sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"],
    ["sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"],
    ["sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"],
    ["sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"],
    ["sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"],
    ["sip:bob@biloxi.com", "sips:bob@biloxi.com"],
    ["sip:bob@biloxi.com", "sip:biloxi.com"],
    ["sip:bob@biloxi.com", "sip:bob:@biloxi.com"],
    ["sip:bob@biloxi.com;user=ip", "sip:bob@biloxi.com"],
    ["sip:bob@biloxi.com;ttl=1", "sip:bob@biloxi.com"],
    ["sip:bob@biloxi.com;method=INVITE", "sip:bob@biloxi.com"],
    ["sip:bob@biloxi.com;maddr=192.0.2.1", "sip:bob@biloxi.com"],
    ["sip:a;b@c", "sip:a%3Bb@c"],
    ["sip:null-%00@c", "sip:null-@c"],
    ["sip:a@b;name=v%2541", "sip:a@b;name=vA"],
    ["sip:+1@b", "tel:+1"],
  ])("%s does not equal %s", (a, b) => {
    expect(equalUris(uri(a), uri(b))).toBe(false);
    expect(equalUris(uri(b), uri(a))).toBe(false);
  });

  test.each([
    ["tel:+1-201-555-0123", "tel:+1(201)555.0123", true],
    ["tel:7042;phone-context=example.com", "TEL:7042;Phone-Context=EXAMPLE.com", true],
    ["tel:+12015550123;ext=1", "tel:+12015550123", false],
    ["tel:+12015550123", "tel:+12015550124", false],
    ["http://a/B", "HTTP://a/B", true],
    ["http://a/B", "http://a/b", false],
  ])("[RFC3966 5] %s and %s: %s", (a, b, equal) => {
    expect(equalUris(uri(a), uri(b))).toBe(equal);
  });

  test("reflexive, and symmetric, for whatever parses", () => {
    const piece = fc.constantFrom("a", "%61", "@", "b.c", ":5060", ";lr", ";x=1", ";X=%31", ";x=2", ";transport=tcp", "?h=1", "[::1]");
    const part = fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join(""));
    const property = fc.property(part, part, (left, right) => {
      const a = parseUri(`sip:${left}`);
      const b = parseUri(`sip:${right}`);
      return isParseError(a) || isParseError(b) || (equalUris(a, a) && equalUris(a, b) === equalUris(b, a));
    });
    expect(() => fc.assert(property)).not.toThrow();
  });
});

describe("[RFC3261 19.1.2] escapes", () => {
  test("unescapeUri is one pass and leaves what is no escape", () => {
    expect(unescapeUri("%2541%zz%4")).toBe("%41%zz%4");
    expect(unescapeUri("a%00b")).toBe("a\0b");
  });

  test("escapeUser and back: any text, as UTF-8 octets", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 20, unit: "grapheme-ascii" }), (user) => {
        const text = `sip:${escapeUser(user)}@example.com`;
        expect(unescapeUri(sipUri(text).user ?? "")).toBe(user);
      }),
    );
    expect(escapeUser("ж@#")).toBe("%D0%B6%40%23");
  });

  test("what was parsed and serialized parses to an equal URI", () => {
    expect.hasAssertions();
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), fc.constantFrom("sip:", "sips:a@", "tel:", "x:"), (text, start) => {
        const parsed = parseUri(start + text);
        if (isParseError(parsed)) return;
        expect(equalUris(parsed, uri(serializeUri(parsed)))).toBe(true);
      }),
    );
  });
});
