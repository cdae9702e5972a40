import { describe, expect, it } from "vitest";
import { signatureAgeSecondsMax } from "../../workers/limits.ts";
import { authorizationFor, hashOf, signerOf, tokenSigner } from "../../workers/signature.ts";

const now = 1_790_000_000_000;
const body = new TextEncoder().encode("a body");

describe("signed requests", () => {
  it("are accepted for their purpose, body and time, and say who signed", () => {
    const header = authorizationFor("secret", "cell", "b", body, now);
    expect(signerOf(header, "secret", "cell", body, now)).toBe("b");
    expect(signerOf(header, "secret", "cell", body, now + signatureAgeSecondsMax * 1000)).toBe("b");
  });

  it.each([
    ["another purpose", { purpose: "api" }],
    ["another secret", { secret: "Secret" }],
    ["another body", { body: new TextEncoder().encode("a bode") }],
    ["no body", { body: undefined }],
    ["too late", { now: now + (signatureAgeSecondsMax + 1) * 1000 }],
    ["too early", { now: now - (signatureAgeSecondsMax + 1) * 1000 }],
  ])("are refused with %s", (_name, change) => {
    const given = { secret: "secret", purpose: "cell", body, now, ...change };
    const header = authorizationFor("secret", "cell", "b", body, now);
    expect(signerOf(header, given.secret, given.purpose, given.body, given.now)).toBeUndefined();
  });

  it.each([
    undefined,
    "",
    "Tandem",
    "Tandem b 1790000000 00",
    "Digest username=b",
    `Tandem ${"b".repeat(65)} 1790000000 ${"0".repeat(64)}`,
  ])("are refused with the header %s", (header) => {
    expect(signerOf(header, "secret", "cell", body, now)).toBeUndefined();
  });

  it("are refused with another's name on a true signature", () => {
    const header = authorizationFor("secret", "trunk 3", "g1", undefined, now);
    expect(signerOf(header, "secret", "trunk 3", undefined, now)).toBe("g1");
    expect(signerOf(header.replace("g1", "g2"), "secret", "trunk 3", undefined, now)).toBeUndefined();
  });
});

describe("token signatures", () => {
  it("are 64 bits of unreserved characters, the same everywhere", () => {
    const sign = tokenSigner("secret");
    expect(sign("td1*0*a")).toMatch(/^[0-9a-z]{14}$/);
    expect(tokenSigner("secret")("td1*0*a")).toBe(sign("td1*0*a"));
    expect(tokenSigner("other")("td1*0*a")).not.toBe(sign("td1*0*a"));
  });

  it("are no signatures of requests: their keys differ", () => {
    const header = authorizationFor("secret", "cell", "b", undefined, now);
    const text = `cell\nb\n${now / 1000}\n`;
    expect(header.endsWith(tokenSigner("secret")(text))).toBe(false);
    expect(header.includes(tokenSigner("secret")(text))).toBe(false);
  });
});

describe("digest hashes", () => {
  it("[RFC7616 3.9.1] give the HA1 values of the example", () => {
    expect(hashOf("MD5", "Mufasa:http-auth@example.org:Circle of Life")).toBe("3d78807defe7de2157e2b0b6573a855f");
    expect(hashOf("SHA-256", "Mufasa:http-auth@example.org:Circle of Life")).toBe(
      "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232",
    );
  });

  it("take one char as one octet", () => {
    expect(hashOf("MD5", "\u00e9")).toBe(hashOf("MD5", String.fromCharCode(0xe9)));
    expect(hashOf("MD5", "\u00c3\u00a9")).not.toBe(hashOf("MD5", "\u00e9"));
  });
});
