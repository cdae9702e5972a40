import { createHash, createPublicKey, type KeyObject, sign } from "node:crypto";

/** The form in which an ACME client says everything (RFC 8555 6.2): JWS (RFC 7515) with ES256. */

export type Signing = {
  /** Of the account: P-256. */
  readonly key: KeyObject;
  readonly url: string;
  readonly nonce: string;
  /** The account's URL; undefined: there is none yet, and the key says who it is. */
  readonly account: string | undefined;
};

/** `payload`: undefined for POST-as-GET (6.3). */
export function signedRequest({ key, url, nonce, account }: Signing, payload: object | undefined): string {
  const header = { alg: "ES256", nonce, url, ...(account === undefined ? { jwk: publicKeyOf(key) } : { kid: account }) };
  const [head, body] = [encoded(JSON.stringify(header)), payload === undefined ? "" : encoded(JSON.stringify(payload))];
  const signature = sign("sha256", Buffer.from(`${head}.${body}`), { key, dsaEncoding: "ieee-p1363" });
  return JSON.stringify({ protected: head, payload: body, signature: signature.toString("base64url") });
}

/** What a challenge is answered with (8.1). */
export function keyAuthorization(token: string, key: KeyObject): string {
  return `${token}.${createHash("sha256")
    .update(JSON.stringify(publicKeyOf(key)))
    .digest("base64url")}`;
}

/** The members in the order in which RFC 7638 hashes them. */
function publicKeyOf(key: KeyObject): object {
  const { crv, kty, x, y } = createPublicKey(key).export({ format: "jwk" });
  return { crv, kty, x, y };
}

function encoded(text: string): string {
  return Buffer.from(text).toString("base64url");
}
