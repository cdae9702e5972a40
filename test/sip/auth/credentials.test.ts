import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { credentialsFor, parseCredentials } from "../../../sip/auth/credentials.ts";
import { isParseError } from "../../../sip/errors.ts";
import { credentialsOctetsMax, credentialsParametersMax } from "../../../sip/limits.ts";
import { Header } from "../../../sip/message/header-names.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../../sip/message/sip-message.ts";

const minimal = 'username="bob", realm="r", nonce="n", uri="sip:r", response="0"';

function requestWith(headers: readonly string[]): SipMessage {
  const message = parseMessage(octetsOf(["REGISTER sip:r SIP/2.0", ...headers, "", ""].join("\r\n")));
  if (isParseError(message)) throw new Error(message.reason);
  return message;
}

describe("credentials", () => {
  it("[RFC3261 22.2] are read as the RFC's example writes them", () => {
    const text =
      'Digest username="bob",\r\n        realm="biloxi.com",\r\n        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="sip:bob@biloxi.com", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"';
    const message = requestWith([`Authorization: ${text}`]);
    expect(credentialsFor(message, Header.Authorization, "biloxi.com")).toEqual([
      {
        username: "bob",
        realm: "biloxi.com",
        nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        uri: "sip:bob@biloxi.com",
        response: "6629fae49393a05397450978507c4ef1",
        algorithm: "MD5",
        cnonce: "0a4f113b",
        qop: "auth",
        nc: "00000001",
      },
    ]);
  });

  it("[RFC7616 3.4] are read whatever the case, the white space and the quoting", () => {
    expect(
      parseCredentials('dIGEST  USERNAME = "b\\"o\\\\b" ,realm=r,nonce=n,uri="sip:r",response=0,algorithm="sha-256",QOP="AUTH",'),
    ).toMatchObject({
      username: 'b"o\\b',
      realm: "r",
      algorithm: "SHA-256",
      qop: "auth",
    });
  });

  it("[RFC3261 22.3] are those of the realm, the best algorithm first; those for others are left alone", () => {
    const message = requestWith([
      `Proxy-Authorization: Digest ${minimal}`,
      `Proxy-Authorization: Digest ${minimal.replace('"r"', '"other"')}`,
      `Proxy-Authorization: Digest ${minimal.replace('"r"', '"R"')}, algorithm=SHA-256`,
      `Authorization: Digest ${minimal.replace("bob", "eve")}`,
    ]);
    const found = credentialsFor(message, Header.ProxyAuthorization, "r");
    expect(found.map(({ username, algorithm }) => [username, algorithm])).toEqual([
      ["bob", "SHA-256"],
      ["bob", "MD5"],
    ]);
  });

  it("[RFC3261 22] are never those of Basic", () => {
    expect(parseCredentials("Basic Ym9iOnBhc3M=")).toBeUndefined();
    expect(parseCredentials(`Basic ${minimal}`)).toBeUndefined();
  });

  it.each([
    "",
    "Digest",
    "Digest ",
    "Digest username",
    "Digest username=",
    'Digest username="bob',
    `Digest ${minimal} ${minimal}`,
    `Digest ${minimal}, username="eve"`,
    `Digest ${minimal}, USERNAME="eve"`,
    `Digest ${minimal}; x=y`,
    `Digest ${minimal},,`,
    `Digest ="x", ${minimal}`,
    `Digest ${minimal}, userhash=true`,
    `Digest ${minimal.replace('"bob"', '""')}`,
    `Digest ${minimal.replace('nonce="n", ', "")}`,
    `Digest ${minimal.replace('response="0"', "response=")}`,
    "Digest \u0000",
  ])("are none where they are malformed: %j", (text) => {
    expect(parseCredentials(text)).toBeUndefined();
  });

  it("name no algorithm of ours for what we do not offer", () => {
    for (const algorithm of ["MD5-sess", "SHA-256-sess", "SHA-512-256", "AKAv1-MD5", ""]) {
      const found = parseCredentials(`Digest ${minimal}, algorithm="${algorithm}"`);
      expect(found !== undefined && found.algorithm).toBeUndefined();
    }
  });

  it("are not read over their limits", () => {
    expect(parseCredentials(`Digest ${minimal}, x="${"y".repeat(credentialsOctetsMax)}"`)).toBeUndefined();
    const many = Array.from({ length: credentialsParametersMax }, (_, n) => `x${n}=y`).join(",");
    expect(parseCredentials(`Digest ${minimal}, ${many}`)).toBeUndefined();
  });

  it("never throw", () => {
    const piece = fc.constantFrom(
      "Digest",
      " ",
      ",",
      "=",
      '"',
      "\\",
      "username",
      "realm",
      "nonce",
      "uri",
      "response",
      "x",
      "\t",
      "\u00ff",
      ";",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        expect(() => parseCredentials(pieces.join(""))).not.toThrow();
        expect(() => parseCredentials(`Digest ${pieces.join("")}`)).not.toThrow();
      }),
      { numRuns: 1_000 },
    );
  });
});
