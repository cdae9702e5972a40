import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { parseAddressOfRecord, passwordOfInput, randomPassword, subscriberRecordOf } from "../../cli/subscribers.ts";
import { secretsOf } from "../../sip/auth/digest.ts";
import { isParseError } from "../../sip/errors.ts";
import { parseUri } from "../../sip/message/uri.ts";
import { addressOfRecordOf } from "../../cluster/map/address-of-record.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { hashOf } from "../../workers/signature.ts";

const map: ClusterMap = {
  version: 1,
  cells: [{ id: "a", url: "" }],
  exchangeCount: 1,
  lineCount: 1,
  domains: [{ name: "example.test", auth: "digest" }],
  aliases: [],
  heartbeat: { periodMs: 1000, missed: 3 },
  replication: { ackTimeoutMs: 200 },
  flushMs: 1000,
};

describe("parseAddressOfRecord", () => {
  it.each([
    ["alice", "alice@example.test"],
    [" alice@Example.TEST ", "alice@example.test"],
    ["sip:alice@example.test", "alice@example.test"],
    ["SIPS:+49(30)123@example.test", "+49(30)123@example.test"],
    ["a%6Cice", "alice@example.test"],
    ["*21%23", "*21%23@example.test"],
    ["*21#", "*21%23@example.test"],
    ["j%c3%b6rg", "j%C3%B6rg@example.test"],
  ])("[RFC3261 10.3 5] %s is %s, as the registrar makes it", (text, expected) => {
    const aor = parseAddressOfRecord(text, "example.test");
    expect(aor).toBe(expected);
    const uri = parseUri(`sip:${aor}`);
    if (isParseError(uri)) throw new Error(uri.reason);
    expect(addressOfRecordOf(map, uri)).toBe(aor);
  });

  it.each([
    ["alice@other.test", "alice@other.test: the domain of this system is example.test"],
    ["", ': "" is no user of a SIP address'],
    ["al ice", 'al ice: "al ice" is no user of a SIP address'],
    ["a%4", 'a%4: "a%4" is no user of a SIP address'],
    ["a\u0007", 'a\u0007: "a\\u0007" is no user of a SIP address'],
    ["j\uFFFDrgen", "j\uFFFDrgen: the name is not UTF-8"],
    ["alice@-", 'alice@-: "-" is no domain'],
    ["a".repeat(65), `${"a".repeat(65)}: a user has at most 64 characters`],
  ])("refuses %j", (text, line) => {
    expect(() => parseAddressOfRecord(text, "example.test")).toThrow(line);
  });

  it("needs the domain where it is not known", () => {
    expect(parseAddressOfRecord("alice@any.test", undefined)).toBe("alice@any.test");
    expect(() => parseAddressOfRecord("alice", undefined)).toThrow("alice: the domain is missing (alice@DOMAIN)");
  });
});

describe("a name that may not stand in an address", () => {
  it.each([
    ["front door", "front%20door"],
    ["m\u00fcller", "m%C3%BCller"],
    ["a:b", "a%3Ab"],
  ])("says what a name may hold, and how to write %s: the same is taken", (name, escaped) => {
    expect(() => parseAddressOfRecord(name, "example.test")).toThrow(
      `is no user of a SIP address: it may hold letters a-z, digits and -_.!~*'()&=+$,;?/#, else write ${escaped}`,
    );
    expect(parseAddressOfRecord(escaped, "example.test")).toBe(`${escaped}@example.test`);
  });
});

describe("subscriberRecordOf", () => {
  it("[RFC7616 3.4.2] hashes user:realm:password, and user@domain:realm:password", () => {
    // printf 'alice:example.test:sécret' | md5sum, and so on.
    expect(subscriberRecordOf("alice@example.test", "sécret")).toEqual(expectedRecord);
  });
});

describe("subscriberRecordOf a user with escapes", () => {
  it("[RFC7616 3.4.2] hashes the name as phones send it", () => {
    expect(subscriberRecordOf("*21%23@example.test", "p")).toMatchObject({
      aor: "*21%23@example.test",
      ha1Md5: md5("*21#:example.test:p"),
      ha1bMd5: md5("*21#@example.test:example.test:p"),
    });
  });

  it.each(["jürgen", "李", "zoë 🎷"])(
    "[RFC7616 3.4.2, RFC7616 4] hashes %s over its octets of UTF-8, once, and so does the core",
    (name) => {
      const aor = parseAddressOfRecord(encodeURIComponent(name), "example.test");
      const record = subscriberRecordOf(aor, "sécret");
      expect(record).toMatchObject({
        ha1Md5: md5(`${name}:example.test:sécret`),
        ha1bMd5: md5(`${name}@example.test:example.test:sécret`),
      });
      expect(record).toEqual({ aor, ...secretsOf(hashOf, aor, Buffer.from("sécret").toString("latin1")) });
    },
  );
});

describe("passwordOfInput", () => {
  it.each([
    [Buffer.from("pä ss\nmore"), "pä ss"],
    [Buffer.from("pass\r\n"), "pass"],
    [Buffer.from("pass"), "pass"],
    [Buffer.from("\n"), ""],
    [Buffer.concat([Buffer.from("pass\n"), Buffer.from([0xe4])]), "pass"],
  ])("is the first line of %j", (octets, password) => {
    expect(passwordOfInput(octets)).toBe(password);
  });

  it.each(["p\u00e4ss\n", "p\u0000a\u0000\n"])("refuses octets that are not UTF-8, which no phone would send so: %j", (text) => {
    expect(() => passwordOfInput(Buffer.from(text, "latin1"))).toThrow("the password on standard input is not UTF-8");
  });
});

describe("randomPassword", () => {
  it("is twelve characters that cannot be mistaken for one another", () => {
    const passwords = Array.from({ length: 50 }, randomPassword);
    for (const password of passwords) expect(password).toMatch(/^[a-hjkmnp-z2-9]{12}$/);
    expect(new Set(passwords).size).toBe(50);
  });
});

const expectedRecord = {
  aor: "alice@example.test",
  ha1Md5: "a1e45d1e04d5773d8826ba0bfed09887",
  ha1Sha256: "275f2c6710b9846fb5b1ab2fea6093ef4c9ae8a3db8f3677596bda1b68b391c8",
  ha1bMd5: "b49e6f2eec434e168a7f946ebd919b30",
  ha1bSha256: "b5ff80a4794ac07bbdc1df0abf53309cf2904235ad86516498e071ee752cc1b4",
};

function md5(text: string): string {
  return createHash("md5").update(text).digest("hex");
}
