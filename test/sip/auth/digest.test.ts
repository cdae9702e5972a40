import { describe, expect, it } from "vitest";
import {
  addressOfRecordOfUsername,
  challenges,
  checkDigest,
  digestResponse,
  ownsAddressOfRecord,
  secretsOf,
  type DigestCheck,
  type DigestResult,
} from "../../../sip/auth/digest.ts";
import type { DigestAlgorithm } from "../../../sip/auth/credentials.ts";
import type { NonceIssuer } from "../../../sip/auth/nonce.ts";
import { NonceMemory } from "../../../sip/auth/nonce-memory.ts";
import { isParseError } from "../../../sip/errors.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../../sip/message/sip-message.ts";
import { hash, sign } from "./hash.ts";

const realm = "example.test";
const start = 1_700_000_000_000;
const secrets = secretsOf(hash, "bob@example.test", "pässword".normalize());

const issuer: NonceIssuer = { replica: "0 a", boot: "b00t" };

type Answer = {
  readonly username?: string;
  readonly password?: string;
  readonly algorithm?: DigestAlgorithm;
  readonly qop?: string;
  readonly nc?: string;
  readonly uri?: string;
  readonly requestUri?: string;
  readonly nonce?: string;
  readonly method?: string;
  readonly response?: string;
  readonly more?: string;
};

/** A server of one domain with its memory, and a phone that answers its challenges. */
class Rig {
  readonly nonces = new NonceMemory(0);
  now = start;
  source = "198.51.100.7";

  challenge(stale = false): string {
    const [[, value] = ["", ""]] = challenges(Header.Authorization, realm, {
      issuer,
      source: this.source,
      now: this.now,
      random: "r4nd0m",
      sign,
      stale,
      algorithms: ["SHA-256", "MD5"],
    });
    return /nonce="([^"]*)"/.exec(value)?.[1] ?? "";
  }

  credentials(answer: Answer): string {
    const {
      username = "bob",
      password = "pässword",
      algorithm = "SHA-256",
      qop = "auth",
      nc = "00000001",
      uri = "sip:example.test",
    } = answer;
    const nonce = answer.nonce ?? this.challenge();
    const ha1 = hash(algorithm, `${username}:${realm}:${password}`);
    const cnonce = qop === "" ? "" : "c";
    const response = answer.response ?? digestResponse(hash, algorithm, ha1, answer.method ?? "REGISTER", { nonce, nc, cnonce, qop, uri });
    const withQop = qop === "" ? "" : `, qop=${qop}, nc=${nc}, cnonce="c"`;
    return `Digest username="${username}", realm="${realm}", nonce="${nonce}", uri="${uri}", response="${response}", algorithm=${algorithm}${withQop}${answer.more ?? ""}`;
  }

  message(values: readonly string[], requestUri = "sip:example.test"): SipMessage {
    const lines = [`REGISTER ${requestUri} SIP/2.0`, ...values.map((value) => `Authorization: ${value}`), "", ""];
    const message = parseMessage(octetsOf(lines.join("\r\n")));
    if (isParseError(message)) throw new Error(message.reason);
    return message;
  }

  checkValues(values: readonly string[], changes: Partial<DigestCheck> = {}, requestUri?: string): DigestResult {
    return checkDigest({
      message: this.message(values, requestUri),
      method: "REGISTER",
      header: Header.Authorization,
      realm,
      secrets,
      now: this.now,
      sign,
      hash,
      nonces: this.nonces,
      issuer,
      source: this.source,
      algorithms: ["SHA-256", "MD5"],
      ...changes,
    });
  }

  check(answer: Answer, changes: Partial<DigestCheck> = {}): DigestResult {
    return this.checkValues([this.credentials(answer)], changes, answer.requestUri);
  }
}

describe("the digest", () => {
  it("[RFC7616 3.9.1] is that of the examples", () => {
    const credentials = {
      nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
      nc: "00000001",
      cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
      qop: "auth",
      uri: "/dir/index.html",
    };
    const a1 = "Mufasa:http-auth@example.org:Circle of Life";
    expect(digestResponse(hash, "MD5", hash("MD5", a1), "GET", credentials)).toBe("8ca523f5e9506fed4657c9700eebdbec");
    expect(digestResponse(hash, "SHA-256", hash("SHA-256", a1), "GET", credentials)).toBe(
      "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    );
  });

  it("[RFC2617 3.5] is that of the example, with qop and as RFC 2069 has it", () => {
    const ha1 = hash("MD5", "Mufasa:testrealm@host.com:Circle Of Life");
    const credentials = {
      nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
      nc: "00000001",
      cnonce: "0a4f113b",
      qop: "auth",
      uri: "/dir/index.html",
    };
    expect(digestResponse(hash, "MD5", ha1, "GET", credentials)).toBe("6629fae49393a05397450978507c4ef1");
    expect(digestResponse(hash, "MD5", ha1, "GET", { ...credentials, qop: "" })).toBe("670fd8c2df070c60b045671b8b24ff02");
  });
});

describe("challenges", () => {
  it("[RFC8760 2.3] offer SHA-256 first, then MD5, each with qop", () => {
    const fields = challenges(Header.ProxyAuthorization, realm, {
      issuer,
      source: "198.51.100.7",
      now: start,
      random: "r4nd0m",
      sign,
      stale: true,
      algorithms: ["SHA-256", "MD5"],
    });
    expect(fields.map(([name, value]) => [name, value.replace(/nonce="[^"]*"/, "nonce")])).toEqual([
      ["Proxy-Authenticate", 'Digest realm="example.test", nonce, qop="auth", algorithm=SHA-256, stale=true'],
      ["Proxy-Authenticate", 'Digest realm="example.test", nonce, qop="auth", algorithm=MD5, stale=true'],
    ]);
    expect(
      challenges(Header.Authorization, realm, {
        issuer,
        source: "",
        now: start,
        random: "r",
        sign,
        stale: false,
        algorithms: ["MD5"],
      })[0]?.[1],
    ).not.toContain("stale");
  });
});

describe("checking credentials", () => {
  it("[RFC3261 22.1] challenges a request without credentials, with malformed ones, or with those of another realm", () => {
    const rig = new Rig();
    for (const values of [[], ["Digest"], ["Basic Ym9i"], [rig.credentials({}).replace('realm="example.test"', 'realm="other.test"')]]) {
      expect(rig.checkValues(values)).toEqual({ result: "challenge", stale: false });
    }
  });

  it.each<DigestAlgorithm>(["MD5", "SHA-256"])("[RFC8760 2.1] takes the right password with %s", (algorithm) => {
    expect(new Rig().check({ algorithm })).toEqual({ result: "ok", username: "bob", algorithm });
  });

  it.each<[DigestAlgorithm, readonly DigestAlgorithm[]]>([
    ["MD5", ["SHA-256"]],
    ["SHA-256", ["MD5"]],
  ])("[RFC8760 2.4] does not take %s where only %s was offered, and asks again", (algorithm, algorithms) => {
    const rig = new Rig();
    const asked = { result: "challenge", stale: false };
    expect(rig.check({ algorithm }, { algorithms })).toEqual(asked);
    // Two at once do not get by, whichever stands first.
    const [wrong] = algorithms;
    const both = [rig.credentials({ algorithm }), rig.credentials({ algorithm: wrong ?? "MD5", password: "guess" })];
    for (const values of [both, both.toReversed()])
      expect(rig.checkValues(values, { algorithms })).toEqual({ result: "bad", username: "bob" });
  });

  it("[RFC8760 2.4] knows MD5 that does not say so", () => {
    const rig = new Rig();
    const unnamed = rig.credentials({ algorithm: "MD5" }).replace(", algorithm=MD5", "");
    expect(rig.checkValues([unnamed], { algorithms: ["SHA-256"] })).toEqual({ result: "challenge", stale: false });
  });

  it("takes MD5 when no algorithm is named", () => {
    const rig = new Rig();
    expect(rig.checkValues([rig.credentials({ algorithm: "MD5" }).replace(", algorithm=MD5", "")])).toMatchObject({ result: "ok" });
  });

  it("takes user@domain as username", () => {
    const rig = new Rig();
    expect(rig.check({ username: "bob@example.test" })).toMatchObject({ result: "ok", username: "bob@example.test" });
  });

  it("refuses user@domain where its hashes are not kept", () => {
    const { ha1Md5, ha1Sha256 } = secrets;
    expect(new Rig().check({ username: "bob@example.test" }, { secrets: { ha1Md5, ha1Sha256 } })).toMatchObject({ result: "bad" });
    expect(new Rig().check({ username: "bob@example.test" }, { secrets: { ...secrets, ha1bSha256: "" } })).toMatchObject({ result: "bad" });
  });

  it("refuses a wrong password, another method's digest, and a user that does not exist", () => {
    const rig = new Rig();
    expect(rig.check({ password: "guess" })).toEqual({ result: "bad", username: "bob" });
    expect(rig.check({ method: "INVITE" })).toEqual({ result: "bad", username: "bob" });
    expect(rig.check({}, { secrets: undefined })).toEqual({ result: "bad", username: "bob" });
    expect(rig.check({ response: "0".repeat(64) }, { secrets: undefined })).toEqual({ result: "bad", username: "bob" });
  });

  it("[RFC8760 2.6 8] takes credentials without qop, once for a nonce", () => {
    const rig = new Rig();
    const nonce = rig.challenge();
    expect(rig.check({ nonce, qop: "" })).toMatchObject({ result: "ok" });
    expect(rig.check({ nonce, qop: "" })).toEqual({ result: "challenge", stale: true });
    expect(rig.check({ nonce, nc: "00000002" })).toEqual({ result: "challenge", stale: true });
  });

  it("does not take qop=auth-int or half of what qop=auth needs", () => {
    const rig = new Rig();
    for (const values of [
      rig.credentials({ qop: "auth-int" }),
      rig.credentials({ nc: "1" }),
      rig.credentials({ nc: "0000000g" }),
      rig.credentials({}).replace(', cnonce="c"', ""),
      rig.credentials({}).replace(/, nc=\d+/, ""),
      rig.credentials({ response: "'or 1=1" }),
    ]) {
      expect(rig.checkValues([values])).toEqual({ result: "challenge", stale: false });
    }
  });

  it("tries the credentials of each algorithm, a bounded number of them, of one user", () => {
    const rig = new Rig();
    const good = rig.credentials({ algorithm: "MD5" });
    const wrong = rig.credentials({ password: "guess" });
    expect(rig.checkValues([wrong, good])).toMatchObject({ result: "ok", algorithm: "MD5" });
    expect(rig.checkValues([...Array.from({ length: 50 }, () => wrong), good])).toMatchObject({ result: "bad" });
    const eve = rig.credentials({ username: "eve", password: "guess" });
    expect(rig.checkValues([eve, good])).toEqual({ result: "bad", username: "eve" });
  });
});

describe("nonces of requests", () => {
  it("[RFC7616 3.4] takes each nonce count once", () => {
    const rig = new Rig();
    const nonce = rig.challenge();
    expect(rig.check({ nonce })).toMatchObject({ result: "ok" });
    expect(rig.check({ nonce })).toEqual({ result: "challenge", stale: true });
    expect(rig.check({ nonce, nc: "00000002" })).toMatchObject({ result: "ok" });
  });

  it("[RFC7616 3.3] calls an old nonce stale, so that nobody is asked for a password; whether that was right it does not say", () => {
    const rig = new Rig();
    const nonce = rig.challenge();
    rig.now += 300_001;
    expect(rig.check({ nonce })).toEqual({ result: "challenge", stale: true });
    expect(rig.check({ nonce, password: "guess" })).toEqual({ result: "challenge", stale: true });
  });

  it.each<[string, Partial<DigestCheck>]>([
    ["another replica", { issuer: { ...issuer, replica: "0 b" } }],
    ["another exchange", { issuer: { ...issuer, replica: "1 a" } }],
    ["another start", { issuer: { ...issuer, boot: "b01t" } }],
    ["another address", { source: "198.51.100.8" }],
  ])("calls a nonce stale that was made for %s", (_name, changes) => {
    const rig = new Rig();
    const nonce = rig.challenge();
    expect(rig.check({ nonce }, changes)).toEqual({ result: "challenge", stale: true });
    expect(rig.check({ nonce, password: "guess" }, changes)).toEqual({ result: "challenge", stale: true });
    expect(rig.check({ nonce })).toMatchObject({ result: "ok" });
  });

  it("calls a nonce stale that we did not make, or that was made before a restart", () => {
    const rig = new Rig();
    expect(rig.check({ nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093" })).toEqual({ result: "challenge", stale: true });
    const nonce = rig.challenge();
    expect(rig.check({ nonce }, { nonces: new NonceMemory(rig.now + 1) })).toEqual({ result: "challenge", stale: true });
  });

  it("does not use a nonce up for a wrong password", () => {
    const rig = new Rig();
    const nonce = rig.challenge();
    rig.check({ nonce, password: "guess" });
    expect([rig.nonces.size, rig.check({ nonce })]).toMatchObject([0, { result: "ok" }]);
  });
});

function isOurHost(host: string): boolean {
  return host === "example.test" || host === "192.0.2.1";
}

describe("digest-uri", () => {
  it.each([
    ["sip:bob@example.test", "sip:bob@example.test"],
    ["sip:%62ob@EXAMPLE.test", "sip:bob@example.test"],
    ["sip:bob@example.test", "sip:bob@example.test;transport=tcp"],
    ["sip:bob@example.test:5060", "sips:bob@example.test"],
    ["sip:bob@192.0.2.1", "sip:bob@example.test"],
    ["tel:+15551234", "TEL:+15551234"],
  ])("[RFC8760 2.6 6] %s is good for %s", (uri, requestUri) => {
    expect(new Rig().check({ uri, requestUri }, { isOurHost })).toMatchObject({ result: "ok" });
  });

  it.each([
    ["sip:bob@example.test", "sip:carol@example.test"],
    ["sip:example.test", "sip:carol@example.test"],
    ["sip:bob@example.test", "sip:bob@other.test"],
    ["sip:bob@other.test", "sip:bob@192.0.2.1"],
    ["tel:+15551234", "tel:+15559999"],
    ["/", "sip:bob@example.test"],
    ["sip:bob@", "sip:bob@example.test"],
  ])("[RFC8760 2.6 6] %s is not good for %s", (uri, requestUri) => {
    expect(new Rig().check({ uri, requestUri }, { isOurHost })).toEqual({ result: "challenge", stale: false });
  });
});

describe("whose address-of-record", () => {
  it("[RFC3261 10.3 4] a user may change: its own", () => {
    expect(ownsAddressOfRecord("bob", "bob@example.test")).toBe(true);
    expect(ownsAddressOfRecord("bob@Example.TEST", "bob@example.test")).toBe(true);
    expect(ownsAddressOfRecord("bob smith", "bob%20smith@example.test")).toBe(true);
    for (const username of ["alice", "Bob", "bob@other.test", "@example.test", "", "bob@example.test@other.test", "b%6fb"]) {
      expect(ownsAddressOfRecord(username, "bob@example.test")).toBe(false);
    }
    expect(ownsAddressOfRecord("", "@example.test")).toBe(false);
  });

  it("a username means", () => {
    expect(addressOfRecordOfUsername("bob", realm)).toBe("bob@example.test");
    expect(addressOfRecordOfUsername("bob smith@EXAMPLE.test", realm)).toBe("bob%20smith@example.test");
    expect(addressOfRecordOfUsername("bob@other.test", realm)).toBeUndefined();
  });
});

describe("the secrets of a subscriber", () => {
  it("[RFC7616 3.4.2] are of the user name as phones send it, without the escapes of a URI", () => {
    expect(secretsOf(hash, "*21%23@example.test", "p").ha1Md5).toBe(hash("MD5", "*21#:example.test:p"));
    expect(secretsOf(hash, "*21%23@example.test", "p").ha1bSha256).toBe(hash("SHA-256", "*21#@example.test:example.test:p"));
  });
});
