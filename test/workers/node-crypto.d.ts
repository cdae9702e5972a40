/** What tests use of Node's crypto beside what the cells do. */
declare module "node:crypto" {
  export function generateKeyPairSync(kind: "ed25519"): {
    readonly privateKey: KeyObject;
    readonly publicKey: { export(options: { readonly format: "jwk" }): { readonly x?: string } };
  };
}
