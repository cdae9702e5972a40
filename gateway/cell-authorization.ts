import { createHmac } from "node:crypto";

/**
 * The `Authorization` of a WebSocket from a gateway to a cell:
 *
 *     Tandem <gateway> <unix seconds> <hex HMAC-SHA256(secret, "<purpose>\n<gateway>\n<unix seconds>")>
 *
 * `purpose` is `trunk\n<exchange>` or `control`. The time bounds replay; the cell checks both.
 */
export function cellAuthorization(secret: string, purpose: string, gateway: string, now: number): string {
  const seconds = Math.floor(now / 1000);
  const signature = createHmac("sha256", secret).update(`${purpose}\n${gateway}\n${seconds}`).digest("hex");
  return `Tandem ${gateway} ${seconds} ${signature}`;
}

/** The WebSocket URL of a path at a cell, whose own URL is http or https. */
export function cellSocketUrl(cellUrl: string, path: string): string {
  return cellUrl.replace(/^http/, "ws").replace(/\/+$/, "") + path;
}
