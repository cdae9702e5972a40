import { createHmac } from "node:crypto";

/**
 * The `Authorization` of a WebSocket from a gateway to a cell:
 *
 *     Tandem <gateway> <unix seconds> <hex HMAC-SHA256(secret, "<purpose>\n<gateway>\n<unix seconds>\n")>
 *
 * `purpose` is `trunk <exchange>` or `control`; the last line would hold the hash of a body, and an upgrade has none. The time bounds replay.
 */
export function cellAuthorization(secret: string, purpose: string, gateway: string, now: number): string {
  const seconds = Math.floor(now / 1000);
  const signature = createHmac("sha256", secret).update(`${purpose}\n${gateway}\n${seconds}\n`).digest("hex");
  return `Tandem ${gateway} ${seconds} ${signature}`;
}

/** The WebSocket URL of a path at a cell, whose own URL is http or https. */
export function cellSocketUrl(cellUrl: string, path: string): string {
  return cellUrl.replace(/^http/, "ws").replace(/\/+$/, "") + path;
}
