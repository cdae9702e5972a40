import { createHmac, type KeyObject, randomBytes, sign } from "node:crypto";
import { memberScheme, secretScheme, signedHeader, signedText } from "../../cluster/signed-text.ts";

/** A WebSocket from a gateway to a cell. `purpose` is `backhaul <exchange>` or `control`; `path` has its query. */
export type CellUpgrade = { readonly purpose: string; readonly gateway: string; readonly cell: string; readonly path: string };

/** What a gateway signs with: the secret of the system, or its own Ed25519 key in a system with an authority. */
export type GatewayKey = string | KeyObject;

/** The `Authorization` of a WebSocket from a gateway to a cell, good once and for half a minute: cluster/signed-text.ts. An upgrade has no body. */
export function cellAuthorization(key: GatewayKey, { purpose, gateway, cell, path }: CellUpgrade, now: number): string {
  const scheme = typeof key === "string" ? secretScheme : memberScheme;
  const nonce = randomBytes(9).toString("base64url");
  const parts = { purpose, who: gateway, to: cell, madeAt: Math.floor(now), nonce, method: "GET", path, bodyHash: "-" };
  const text = signedText(scheme, parts);
  const signature =
    typeof key === "string"
      ? createHmac("sha256", key).update(text).digest("hex")
      : sign(null, Buffer.from(text), key).toString("base64url");
  return signedHeader(scheme, parts, signature);
}

/** The WebSocket URL of a path at a cell, whose own URL is http or https. */
export function cellSocketUrl(cellUrl: string, path: string): string {
  return cellUrl.replace(/^http/, "ws").replace(/\/+$/, "") + path;
}
