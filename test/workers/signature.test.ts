import { describe, expect, it } from "vitest";
import { apiReference } from "../../schemas/api-reference.ts";
import { signatureAgeSecondsMax } from "../../cluster/limits.ts";
import type { Secrets } from "../../cluster/authority/keyring.ts";
import { isSignature } from "../../sip/flow/token.ts";
import { authorizationFor, changingTokenSigner, checkSignature, hashOf, isBodyOf, tokenSigner } from "../../workers/signature.ts";

const now = 1_790_000_000_000;
const body = new TextEncoder().encode("a body");

const request = { purpose: "cell", to: "a", method: "POST", path: "/cell/pair/0?x=1" };
const toSign = { ...request, who: "b", body };

describe("signed requests", () => {
  it("are accepted for what they were signed for, and say who signed", () => {
    const header = authorizationFor("secret", toSign, now);
    for (const age of [-signatureAgeSecondsMax, 0, signatureAgeSecondsMax]) {
      const signature = checkSignature(header, "secret", request, now + age * 1000);
      expect(signature).toMatchObject({ who: "b", madeAt: now });
      expect("who" in signature && isBodyOf(signature, body)).toBe(true);
    }
  });

  it.each([
    ["another purpose", { purpose: "api" }],
    ["another secret", { secret: "Secret" }],
    ["another method", { method: "PUT" }],
    ["another path", { path: "/cell/pair/1?x=1" }],
    ["another query", { path: "/cell/pair/0?x=2" }],
    ["another cell", { to: "b" }],
    ["too late", { now: now + signatureAgeSecondsMax * 1000 + 1 }, "old"],
    ["too early", { now: now - signatureAgeSecondsMax * 1000 - 1 }, "old"],
    ["another secret, too late", { secret: "Secret", now: now + signatureAgeSecondsMax * 1000 + 1 }],
  ])("are refused with %s", (_name, change, refusal = "wrong") => {
    const given = { secret: "secret", now, ...request, ...change };
    const header = authorizationFor("secret", toSign, now);
    expect(checkSignature(header, given.secret, given, given.now)).toEqual({ refusal });
  });

  it("are refused with another body, or none, or one where there was none", () => {
    const signature = checkSignature(authorizationFor("secret", toSign, now), "secret", request, now);
    const bare = checkSignature(authorizationFor("secret", { ...toSign, body: undefined }, now), "secret", request, now);
    if ("refusal" in signature || "refusal" in bare) throw new Error("refused");
    for (const other of [new TextEncoder().encode("a bode"), new Uint8Array(0), undefined]) expect(isBodyOf(signature, other)).toBe(false);
    expect([isBodyOf(bare, undefined), isBodyOf(bare, new Uint8Array(0)), isBodyOf(bare, body)]).toEqual([true, true, false]);
  });

  it("are refused with any one thing in the header changed", () => {
    const header = authorizationFor("secret", toSign, now);
    expect(checkSignature(header, "secret", request, now)).toHaveProperty("who");
    for (let at = 0; at < header.length; at += 1) {
      const changed = header.slice(0, at) + (header[at] === "0" ? "1" : "0") + header.slice(at + 1);
      expect(checkSignature(changed, "secret", request, now)).toHaveProperty("refusal");
    }
  });

  it.each([undefined, "", "Tandem2", "Tandem2 b a 1790000000000 0123456789ab - 00", "Digest username=b", `Tandem2 ${"b".repeat(10_000)}`])(
    "are refused with the header %s",
    (header) => {
      expect(checkSignature(header, "secret", request, now)).toEqual({ refusal: "wrong" });
    },
  );

  it("of other versions are known as such", () => {
    for (const header of [`Tandem b 1790000000 ${"0".repeat(64)}`, "Tandem3 whatever"]) {
      expect(checkSignature(header, "secret", request, now)).toEqual({ refusal: "version" });
    }
  });

  it("are never the same twice", () => {
    const headers = Array.from({ length: 1_000 }, () => authorizationFor("secret", toSign, now));
    expect(new Set(headers).size).toBe(1_000);
  });
});

describe("the example in docs/api.md", () => {
  it("is accepted at its time, with its body", () => {
    const example = apiReference();
    const [, secret = "", text = ""] = /The secret is `(.+)`, and the body `(.+)`\./.exec(example) ?? [];
    const [, header = ""] = /^authorization: (.+)$/m.exec(example) ?? [];
    const received = { purpose: "api", to: "a", method: "PUT", path: "/api/cells/b" };
    const signature = checkSignature(header, secret, received, 1_790_000_000_000);
    expect(signature).toMatchObject({ who: "cli", madeAt: 1_790_000_000_000 });
    expect("who" in signature && isBodyOf(signature, new TextEncoder().encode(text))).toBe(true);
    expect(checkSignature(header, `${secret}\n`, received, 1_790_000_000_000)).toEqual({ refusal: "wrong" });
  });
});

describe("token signatures", () => {
  it("are 64 bits of unreserved characters, the same everywhere", () => {
    const sign = tokenSigner("secret");
    expect(sign("td1*0*a")).toMatch(/^[0-9a-z]{14}$/);
    expect(tokenSigner("secret")("td1*0*a")).toBe(sign("td1*0*a"));
    expect(tokenSigner("other")("td1*0*a")).not.toBe(sign("td1*0*a"));
  });

  it("follow a secret that is changed, and count by those that are accepted", () => {
    let secrets: Secrets = { signing: "one", accepted: ["two"] };
    const sign = changingTokenSigner(() => secrets);
    const [one, two] = [tokenSigner("one")("td2*a"), tokenSigner("two")("td2*a")];
    expect(sign("td2*a")).toBe(one);
    expect(isSignature(two, "td2*a", sign)).toBe(true);
    secrets = { signing: "two", accepted: ["one"] };
    expect(sign("td2*a")).toBe(two);
    expect(isSignature(one, "td2*a", sign)).toBe(true);
    secrets = { signing: "two", accepted: [] };
    expect(isSignature(one, "td2*a", sign)).toBe(false);
    expect(isSignature(two, "td2*a", sign)).toBe(true);
  });

  it("are no signatures of requests: their keys differ", () => {
    const header = authorizationFor("secret", toSign, now);
    const [, , , , nonce, bodyHash] = header.split(" ");
    const text = `Tandem2\ncell\nb\na\n${now}\n${nonce}\nPOST\n${toSign.path}\n${bodyHash}`;
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
