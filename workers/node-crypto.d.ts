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
  export function createHmac(algorithm: "sha256", key: string): Digest;
}
