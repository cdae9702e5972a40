import { createHmac, randomBytes } from "node:crypto";

/** A WebSocket from a gateway to a cell. `purpose` is `backhaul <exchange>` or `control`; `path` has its query. */
export type CellUpgrade = { readonly purpose: string; readonly gateway: string; readonly cell: string; readonly path: string };

/** What signatures begin with; cells refuse those of other versions (workers/signature.ts). */
export const signatureScheme = "Tandem2";

/**
 * The `Authorization` of a WebSocket from a gateway to a cell, good once and for half a minute:
 *
 *     Tandem2 <gateway> <cell> <unix ms> <nonce> - <hex HMAC-SHA256(secret, "Tandem2\\n<purpose>\\n<gateway>\\n<cell>\\n<ms>\\n<nonce>\\nGET\\n<path>\\n-")>
 *
 * The lines `-` stand for the hash of a body, and an upgrade has none.
 */
export function cellAuthorization(secret: string, { purpose, gateway, cell, path }: CellUpgrade, now: number): string {
  const nonce = randomBytes(9).toString("base64url");
  const madeAt = Math.floor(now);
  const text = [signatureScheme, purpose, gateway, cell, madeAt, nonce, "GET", path, "-"].join("\n");
  return `${signatureScheme} ${gateway} ${cell} ${madeAt} ${nonce} - ${createHmac("sha256", secret).update(text).digest("hex")}`;
}

/** The WebSocket URL of a path at a cell, whose own URL is http or https. */
export function cellSocketUrl(cellUrl: string, path: string): string {
  return cellUrl.replace(/^http/, "ws").replace(/\/+$/, "") + path;
}
