/**
 * The part of node:crypto that the Workers runtime gives and we use: synchronous hashes. All of Node's types would let through what no
 * Worker has.
 */
declare module "node:crypto" {
  export type KeyObject = { readonly type: "secret" };
  type Digest = {
    update(data: string | Uint8Array, encoding?: "utf8" | "latin1"): Digest;
    digest(): Uint8Array;
    digest(encoding: "hex"): string;
  };
  export function createHash(algorithm: "md5" | "sha256"): Digest;
  export function createHmac(algorithm: "sha256", key: string | KeyObject): Digest;
  export function createSecretKey(key: Uint8Array): KeyObject;
}
