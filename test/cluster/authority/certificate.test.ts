import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  authorityCertificate,
  type CertificateTools,
  isP256Key,
  isRenewalDue,
  memberCertificate,
} from "../../../cluster/authority/certificate.ts";
import { identifier, moment } from "../../../cluster/authority/der.ts";
import { backdatedMs, memberCertificateDays } from "../../../cluster/authority/limits.ts";

const now = Date.UTC(2026, 10, 30, 16, 0, 0);
const dayMs = 86_400_000;
const serial = Uint8Array.from({ length: 16 }, (_, index) => 250 - index);

function newKey(): { readonly privateKey: KeyObject; readonly publicKey: Uint8Array } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { privateKey, publicKey: publicKey.export({ type: "spki", format: "der" }) };
}

const authorityKey = newKey();
const tools: CertificateTools = {
  sign: (octets) => sign("sha256", octets, authorityKey.privateKey),
  sha256: (octets) => createHash("sha256").update(octets).digest(),
};
const authority = { name: "Tandem authority 0123456789abcdef", publicKey: authorityKey.publicKey };
const memberKey = newKey();

function certificateOf(addresses: readonly string[]): X509Certificate {
  return new X509Certificate(
    memberCertificate({ id: "g1", addresses, publicKey: memberKey.publicKey }, authority, { now, serial }, tools).der,
  );
}

describe("the certificate of an authority", () => {
  const own = new X509Certificate(authorityCertificate(authority, { now, serial }, tools).der);

  it("[RFC5280 4.2.1.9] is one of an authority, signed by itself, for ten years", () => {
    expect([own.ca, own.subject, own.issuer]).toEqual([true, `CN=${authority.name}`, `CN=${authority.name}`]);
    expect(own.verify(own.publicKey)).toBe(true);
    expect(own.checkIssued(own)).toBe(true);
    expect(own.validToDate.getTime() - own.validFromDate.getTime()).toBe(3_650 * dayMs + backdatedMs);
  });

  it("has a serial number above 0, whatever was drawn", () => {
    for (const octets of [new Uint8Array(16), Uint8Array.from({ length: 16 }, () => 255)]) {
      const { der } = authorityCertificate(authority, { now, serial: octets }, tools);
      expect(new X509Certificate(der).serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
    }
  });
});

describe("the certificate of a member", () => {
  const issuer = new X509Certificate(authorityCertificate(authority, { now, serial }, tools).der);

  it("names it and its addresses, for thirty days, and is signed by the authority", () => {
    const certificate = certificateOf(["127.0.0.1", "2001:db8::1", "cell-a.example.test"]);
    expect(certificate.subject).toBe("CN=g1");
    expect(certificate.subjectAltName).toBe("IP Address:127.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1, DNS:cell-a.example.test");
    expect([certificate.ca, certificate.verify(issuer.publicKey), certificate.checkIssued(issuer)]).toEqual([false, true, true]);
    expect(certificate.validToDate.getTime()).toBe(now + memberCertificateDays * dayMs);
    expect(certificate.validFromDate.getTime()).toBe(now - backdatedMs);
    expect(certificate.publicKey.equals(createPublicKey({ key: Buffer.from(memberKey.publicKey), format: "der", type: "spki" }))).toBe(
      true,
    );
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  });

  it("names no address of who is not connected to", () => {
    expect(certificateOf([]).subjectAltName).toBeUndefined();
  });

  it("is of nobody else's making: another authority of the same name has not signed it", () => {
    const other = newKey();
    const forged = { ...tools, sign: (octets: Uint8Array) => sign("sha256", octets, other.privateKey) };
    const { der } = memberCertificate({ id: "g1", addresses: [], publicKey: memberKey.publicKey }, authority, { now, serial }, forged);
    expect(new X509Certificate(der).verify(issuer.publicKey)).toBe(false);
  });

  it.each([
    ["a name that is none", { id: "g1,CN=a" }, "is no name of a member"],
    ["an address that is none", { addresses: ["a b"] }, "a b is no address"],
    ["a key with more behind it", { publicKey: Uint8Array.of(...memberKey.publicKey, 0) }, "is not of P-256"],
    [
      "another kind of key",
      { publicKey: generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "der" }) },
      "is not of P-256",
    ],
  ])("is not made for %s", (_name, change, text) => {
    const subject = { id: "g1", addresses: ["127.0.0.1"], publicKey: memberKey.publicKey, ...change };
    expect(() => memberCertificate(subject, authority, { now, serial }, tools)).toThrow(text);
  });

  it("is renewed when two thirds of its life are over", () => {
    const until = 30 * dayMs;
    expect([0, 19.9 * dayMs, 20 * dayMs, 31 * dayMs].map((at) => isRenewalDue(0, until, at))).toEqual([false, false, true, true]);
  });
});

describe("what certificates are written in", () => {
  it("has keys of P-256 alone", () => {
    expect(isP256Key(memberKey.publicKey)).toBe(true);
    expect(isP256Key(new Uint8Array(91))).toBe(false);
  });

  it("[RFC5280 4.1.2.5] has two digits for the year until 2049, and four from 2050 on", () => {
    expect(Buffer.from(moment(Date.UTC(2049, 11, 31, 23, 59, 59, 999)).subarray(2)).toString()).toBe("491231235959Z");
    expect(Buffer.from(moment(Date.UTC(2050, 0, 1)).subarray(2)).toString()).toBe("20500101000000Z");
  });

  it("[X.690 8.19] has identifiers in groups of seven bits", () => {
    expect(Buffer.from(identifier("1.2.840.113549")).toString("hex")).toBe("06062a864886f70d");
    expect(Buffer.from(identifier("2.5.29.17")).toString("hex")).toBe("0603551d11");
  });
});
