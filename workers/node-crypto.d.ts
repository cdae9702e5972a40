/**
 * What the edge uses of Node's crypto, which workerd has under nodejs_compat. All of @types/node would bring globals that a Worker does
 * not have, and another setTimeout.
 */
declare module "node:crypto" {
  export type Digest = {
    update(data: string | Uint8Array, encoding?: "latin1" | "utf8"): Digest;
    digest(encoding: "hex"): string;
    digest(): Uint8Array;
  };
  export function createHash(algorithm: "md5" | "sha256"): Digest;
  export function createHmac(algorithm: "sha256", key: string | Uint8Array): Digest;

  export type KeyObject = {
    readonly type: "private" | "public";
    export(options: { readonly type: "spki"; readonly format: "pem" }): string;
  };
  /** `pem`: PKCS #8. */
  export function createPrivateKey(pem: string): KeyObject;
  export function createPublicKey(key: {
    readonly key: { readonly kty: "OKP"; readonly crv: "Ed25519"; readonly x: string };
    readonly format: "jwk";
  }): KeyObject;
  /** The public half of a private one, PKCS #8. */
  export function createPublicKey(pem: string): KeyObject;
  /** Of the first one in a text. */
  export class X509Certificate {
    constructor(pem: string);
    readonly publicKey: KeyObject;
    readonly validFrom: string;
    readonly validTo: string;
    checkHost(name: string): string | undefined;
  }
  /** Without an algorithm: Ed25519, which has its own hash. */
  export function sign(algorithm: null | "sha256", data: Uint8Array, key: KeyObject): Uint8Array;
  export function verify(algorithm: null, data: Uint8Array, key: KeyObject, signature: Uint8Array): boolean;
}
