import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { parseUri } from "../../../sip/message/uri.ts";
import { isParseError } from "../../../sip/errors.ts";
import { claimOf } from "../../../cluster/map/claim.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { showsAddress } from "../../../cluster/map/shown-address.ts";

const map: ClusterMap = {
  version: 1,
  cells: [{ id: "a", url: "http://127.0.0.1" }],
  exchangeCount: 1,
  lineCount: 1,
  domains: [
    { name: "example.test", auth: "digest" },
    { name: "open.test", auth: "open" },
  ],
  aliases: ["192.0.2.1", "192.0.2.1:5060", "[2001:db8::1]", "[2001:db8::1]:5060"],
  heartbeat: { periodMs: 1000, missed: 3 },
  replication: { ackTimeoutMs: 200 },
  flushMs: 1000,
};

/** As it stands in a message: one char an octet, UTF-8. What is Latin-1 or no UTF-8 at all is written as `raw`. */
function utf8(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

const shown = [
  "bob@example.test",
  "bob%40example.test",
  "bob%2540example.test",
  "bob%252540example.test",
  "bob\\@example.test",
  "\\b\\o\\b\\@\\e\\x\\a\\m\\p\\l\\e.test",
  "bob\uff20example.test",
  "bob\ufe6bexample.test",
  "bob%EF%BC%A0example.test",
  "bob\uff0540example.test",
  "bob%\u200b40example.test",
  "b\u200bo\u200cb\u200d@\u2060exam\ufeffple\u00ad.test",
  "bob\u034f@example.t\ufe0fest",
  "bob\u3164@example.test",
  "bob@\u2009example\u200a.test",
  "bob@exa\\\u0001mple.test",
  "bob@\u0332example.test",
  "bob\u{e0040}@example.test",
  "\u202etset.elpmaxe@bob",
  "\u200fexample.test\u200f@\u200fbob",
  "\u2067example.test@bob\u2069",
  "bob @ example.test",
  "bob @ example . test",
  "bob\u00a0@\u3000example.test",
  "bob@EXAMPLE.Test.",
  "bob@example.test...",
  "bob@example.test\u2026",
  "bob@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0e\uff54\uff45\uff53\uff54",
  "bob@\u{1d41e}\u{1d431}ample.test",
  "bob@example\u3002test",
  "bob@example\uff61test",
  "bob@example\u2024test",
  "bob@example.test:5060",
  "bob@example.test;transport=tcp",
  "bob@example.test, of the office. Hello",
  "Bob (bob@example.test)",
  "Bob <sip:bob@example.test>",
  '\\"bob\\"@example.test',
  "(bob)@example.test",
  "@example.test",
  "bob@@example.test",
  "eve@elsewhere.test bob@example.test",
  "bob@192.0.2.1",
  "bob@192.0.2.1:9999",
  "bob@[192.0.2.1]",
  "bob@3221225985",
  "bob@0xC0000201",
  "bob@0300.0.2.1",
  "bob@192.0.513",
  "bob@2001:db8::1",
  "bob@[2001:DB8:0::1]:5060",
  "bob@[2001:db8::1",
  "bob@[::ffff:192.0.2.1]",
  "bob@localhost",
  "bob@LOCALHOST.",
  "bob@pbx.localhost",
  "bob@localhost.localdomain",
  "bob@ip6-localhost",
  "bob@127.0.0.1",
  "bob@127.1",
  "bob@127.9.9.9:5060",
  "bob@0.0.0.0",
  "bob@0",
  "bob@[::1]",
  "bob@::1",
  "bob@[::]",
  "bob@[::ffff:127.0.0.1]",
];

const notShown = [
  "",
  "Bob",
  "J\u00f6rg M\u00fcller",
  "50% off",
  "100%25",
  "bob",
  "@",
  "bob at example.test",
  "example.test",
  "bob@elsewhere.test",
  "bob%40elsewhere.test",
  "bob\uff20elsewhere.test",
  "bob@example.test.elsewhere.test",
  "bob@myexample.test",
  "bob@sub.example.test",
  "bob@open.test",
  "bob@192.0.2.10",
  "bob@192.0.2",
  "bob@[2001:db8::2]",
  "bob@localhost.elsewhere.test",
  "bob@mylocalhost",
  "bob@12.7.0.0.1",
  "\u05d3\u05d5\u05d3\u200f",
];

describe("which address of ours a text shows", () => {
  it.each(shown)("%j shows one", (text) => expect(showsAddress(map, utf8(text), undefined)).toBe(true));

  it.each(notShown)("%j shows none", (text) => expect(showsAddress(map, utf8(text), undefined)).toBe(false));

  it.each([
    ["overlong UTF-8", "bob\xc1\x80example.test"],
    ["of three octets", "bob\xe0\x81\x80example.test"],
    ["of four", "bob\xf0\x80\x81\x80example.test"],
    ["Latin-1 for a soft hyphen", "b\xadob@exam\xadple.test"],
    ["octets that are cut by backslashes", "bob\\\xef\\\xbc\\\xa0example.test"],
    ["octets of which some are escaped", "bob\xef%BC%a0example.test"],
  ])("octets: %s", (_name, octets) => expect(showsAddress(map, octets, undefined)).toBe(true));

  it("one's own is one's own, in whatever spelling", () => {
    const own: readonly (readonly [string, string])[] = [
      ["bob@example.test", "bob@example.test"],
      ["Bob (bob\uff20EXAMPLE.test.)", "bob@example.test"],
      ["j\u00f6rg@example.test", "j%C3%B6rg@example.test"],
      ["*21#@example.test", "*21%23@example.test"],
      ["bob@192.0.2.1:9999", "bob@example.test"],
    ];
    for (const [text, owner] of own) {
      expect([text, showsAddress(map, utf8(text), owner)]).toEqual([text, false]);
      expect([text, showsAddress(map, utf8(text), "carol@example.test")]).toEqual([text, true]);
    }
  });
});

describe("the user part of a URI from elsewhere", () => {
  it.each([
    "bob%40example.test",
    "bob%2540example.test",
    "bob\uff20example.test",
    "bob%EF%BC%A0example.test",
    "sip%3Abob%40example.test",
    "bob%E2%80%8B%40example.test",
    "bob%40localhost",
    "bob%40192.0.2.1",
    "x:bob%40example.test",
    "bob%40example.test:x",
  ])("%j claims what nobody can prove", (user) => {
    const uri = parseUri(utf8(`sip:${user}@elsewhere.test`));
    expect(isParseError(uri) || claimOf(map, uri)).toEqual({ domain: map.domains[0], addressOfRecord: undefined });
  });

  it("of ours is a user of ours, whatever it holds", () => {
    const uri = parseUri("sip:bob%40example.test@example.test");
    expect(isParseError(uri) || claimOf(map, uri).addressOfRecord).toBe("bob%40example.test@example.test");
  });

  it.each(["bob%40elsewhere.test", "bob%20smith", "j\u00f6rg", "+1555"])("%j claims nothing", (user) => {
    const uri = parseUri(utf8(`sip:${user}@elsewhere.test`));
    expect(isParseError(uri) || claimOf(map, uri).domain).toBeUndefined();
  });
});

/** What may stand between two characters without being seen. */
const unseen = [
  "",
  "",
  "",
  "",
  "\u200b",
  "\u200c",
  "\u200d",
  "\u2060",
  "\ufeff",
  "\u00ad",
  "\u034f",
  "\ufe0f",
  "\u3164",
  "\u{e0061}",
  "\u200a",
  "\\\u0001",
];
const ats = ["@", "@", "%40", "%2540", "\uff20", "\ufe6b", "%EF%BC%A0", "\\@", " @ ", "\uff0540"];
const wide = (character: string): string => String.fromCodePoint(0xfee0 + (character.codePointAt(0) ?? 0));
const bold = (character: string): string =>
  /[a-z]/.test(character) ? String.fromCodePoint(0x1d41a + character.charCodeAt(0) - 0x61) : character;
const percent = (character: string): string => `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
const forms: readonly ((character: string) => string)[] = [
  (character) => character,
  (character) => character,
  (character) => character.toUpperCase(),
  wide,
  bold,
  percent,
  (character) => `\\${character}`,
];

/** A text of which each character has a form that shows it. In another case a user is another one, or nobody, and refused just as well. */
function characters(text: string): fc.Arbitrary<string> {
  return fc
    .tuple(
      ...Array.from(text, (character) =>
        fc.tuple(fc.constantFrom(...forms), fc.constantFrom(...unseen)).map(([form, gap]) => gap + form(character)),
      ),
    )
    .map((parts) => parts.join(""));
}

/** An address in a spelling that a lenient phone shows as that address. */
function spellingsOf(user: string, host: string): fc.Arbitrary<string> {
  const around = fc.tuple(
    fc.constantFrom("", "Bob ", "(", "<sip:", "\u00e9t\u00e9 "),
    fc.constantFrom("", " x", ">", ":5060", ".", ", hello"),
  );
  return fc
    .tuple(around, characters(user), fc.constantFrom(...ats), characters(host))
    .map(([[before, behind], left, at, right]) => before + left + at + right + behind);
}

describe("spellings", () => {
  const ours = fc.constantFrom("example.test", "192.0.2.1", "localhost").chain((host) => spellingsOf("bob", host));

  it("every spelling of an address of ours shows it", () => {
    fc.assert(
      fc.property(ours, (text) => {
        expect(showsAddress(map, utf8(text), undefined)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it("no spelling of another address does", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("elsewhere.test", "example.test.invalid", "192.0.2.9").chain((host) => spellingsOf("bob", host)),
        (text) => {
          expect(showsAddress(map, utf8(text), undefined)).toBe(false);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it("any octets are looked at, and cost no more than their length", () => {
    const octets = fc.uint8Array({ maxLength: 300 }).map((each) => stringOf(each));
    fc.assert(
      fc.property(octets, (text) => {
        expect(typeof showsAddress(map, `${text}@${text}`, undefined)).toBe("boolean");
      }),
    );
    const long = ["%25", "\\", "@", "@[", "a.", " .", "@a. ", "\u200b", "\uff20", "e\u0301", "%40", "\u202e@"];
    for (const each of long) {
      const text = utf8(`x%40${each.repeat(Math.floor(15_000 / octetsOf(each).length))}`);
      const cpuMs = (): number => {
        const before = process.threadCpuUsage().user;
        showsAddress(map, text, undefined);
        return (process.threadCpuUsage().user - before) / 1000;
      };
      expect(Math.min(cpuMs(), cpuMs(), cpuMs())).toBeLessThan(100);
    }
  });
});
