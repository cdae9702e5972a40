import { nonceLifetimeSeconds } from "../limits.ts";
import { equalInConstantTime, type Sign } from "../transport/token.ts";

/**
 * Nonces that remember nothing: `<ms, base 36>.<random>.<signature>`. Any exchange of the cluster, and any replica of it, can tell a nonce that the
 * cluster made, and when; what was used is the business of {@link NonceMemory}.
 */
export type Nonce = {
  /** When it was made, milliseconds since the epoch. */
  readonly issuedAt: number;
  /** Its name: time and random part. */
  readonly id: string;
};

const noncePattern = /^([0-9a-z]{8,9})\.([0-9A-Za-z_-]{1,64})\.([^.]{1,128})$/;

/** `random`: 64 bits or more, of unreserved characters without dots. `realm`: a nonce of one domain is none of another. */
export function makeNonce(realm: string, now: number, random: string, sign: Sign): string {
  const id = `${Math.floor(now).toString(36)}.${random}`;
  return `${id}.${sign(signedText(realm, id))}`;
}

/** Undefined when the cluster did not make it for this realm. */
export function parseNonce(text: string, realm: string, sign: Sign): Nonce | undefined {
  const match = noncePattern.exec(text);
  if (match === null) return undefined;
  const [, time = "", random = "", signature = ""] = match;
  const id = `${time}.${random}`;
  if (!equalInConstantTime(signature, sign(signedText(realm, id)))) return undefined;
  return { issuedAt: Number.parseInt(time, 36), id };
}

/** The word in front keeps a nonce's signature from being that of a Via branch or a route. */
function signedText(realm: string, id: string): string {
  return `nonce ${realm.toLowerCase()} ${id}`;
}

/** True when its time is over, or has not come: cells' clocks may differ by a lifetime, not by more. */
export function isOutdated(nonce: Nonce, now: number): boolean {
  return Math.abs(now - nonce.issuedAt) > nonceLifetimeSeconds * 1000;
}
