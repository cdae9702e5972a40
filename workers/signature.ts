import { createHash, createHmac } from "node:crypto";
import { sipHash, sipHashKeyOf } from "../sip/transport/sip-hash.ts";
import { equalInConstantTime, type Sign } from "../sip/transport/token.ts";
import { signatureAgeSecondsMax } from "./limits.ts";

/**
 * Requests between cells, gateways and the command are signed with the cluster's secret:
 *
 *     Authorization: Tandem <who> <unix seconds> <hex HMAC-SHA256(secret, "<purpose>\n<who>\n<seconds>\n<sha256 hex of body or empty>")>
 *
 * The purpose (`trunk 3`, `control`, `cell`, `api`) keeps a signature that was made for one use from serving another.
 */

const headerPattern = /^Tandem ([0-9A-Za-z._-]{1,64}) (\d{1,12}) ([0-9a-f]{64})$/;

/** The value of an Authorization header for a request with this body (none for an upgrade). `nowMs`: ms since the epoch. */
export function authorizationFor(secret: string, purpose: string, who: string, body: Uint8Array | undefined, nowMs: number): string {
  const seconds = Math.floor(nowMs / 1000).toString();
  return `Tandem ${who} ${seconds} ${signatureOf(secret, purpose, who, seconds, body)}`;
}

/** Who signed this request for this purpose; undefined when the signature is missing, wrong, or too old. */
export function signerOf(
  header: string | undefined,
  secret: string,
  purpose: string,
  body: Uint8Array | undefined,
  nowMs: number,
): string | undefined {
  const match = headerPattern.exec(header ?? "");
  if (match === null) return undefined;
  const [, who = "", seconds = "", signature = ""] = match;
  if (Math.abs(nowMs / 1000 - Number(seconds)) > signatureAgeSecondsMax) return undefined;
  return equalInConstantTime(signature, signatureOf(secret, purpose, who, seconds, body)) ? who : undefined;
}

function signatureOf(secret: string, purpose: string, who: string, seconds: string, body: Uint8Array | undefined): string {
  const bodyHash = body === undefined || body.length === 0 ? "" : createHash("sha256").update(body).digest("hex");
  return createHmac("sha256", secret).update(`${purpose}\n${who}\n${seconds}\n${bodyHash}`).digest("hex");
}

/**
 * The core's keyed hash for tokens and nonces: SipHash under a key that is derived from the secret, so that no token can ever be mistaken for a
 * signed request. An HMAC takes 4.7 us to be called, and this half a microsecond: a call makes or checks nine.
 */
export function tokenSigner(secret: string): Sign {
  const key = sipHashKeyOf(createHmac("sha256", secret).update("tokens").digest());
  return (text) => sipHash(key, text);
}

/** The core's plain hashes for digest authentication (RFC 8760), as hex. */
export function hashOf(algorithm: "MD5" | "SHA-256", text: string): string {
  return createHash(algorithm === "MD5" ? "md5" : "sha256")
    .update(text, "latin1")
    .digest("hex");
}
