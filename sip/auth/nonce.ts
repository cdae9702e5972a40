import { nonceLifetimeSeconds } from "../limits.ts";
import { isSignature, type Sign } from "../flow/token.ts";
import type { SteadyMs } from "../time.ts";

/**
 * Nonces that remember nothing: `<steady ms, base 36>.<boot><random>.<signature>`. {@link NonceMemory} knows what was used, and that is the memory of
 * one process. So a nonce is good at one start of one replica of the exchange that made it, and for the address that it was made for. Everywhere else
 * it is stale, whatever came with it (docs/decisions/0014-who-somebody-is.md).
 */
export type Nonce = {
  /** When it was made, by the steady clock of that start: setting the wall clock makes none stale, and none good again. */
  readonly issuedAt: SteadyMs;
  /** Its name: time and random part. */
  readonly id: string;
};

/** Who makes nonces. */
export type NonceIssuer = {
  /** The replica, for example `3 a`: exchange and cell. */
  readonly replica: string;
  /** Names this start of it: `[0-9a-z]`. */
  readonly boot: string;
};

/** What a nonce is for: one of one domain is none of another, and what was asked of one address is not answered by another. */
export type NonceUse = { readonly realm: string; readonly source: string };

const noncePattern = /^([0-9a-z]{1,9})\.([0-9A-Za-z_-]{1,64})\.([^.]{1,128})$/;

/** `random`: 64 bits or more, of unreserved characters without dots. */
export function makeNonce(issuer: NonceIssuer, use: NonceUse, now: SteadyMs, random: string, sign: Sign): string {
  const id = `${Math.floor(now).toString(36)}.${issuer.boot}${random}`;
  return `${id}.${sign(signedText(issuer, use, id))}`;
}

/** Undefined when this issuer did not make it for this use. */
export function parseNonce(text: string, issuer: NonceIssuer, use: NonceUse, sign: Sign): Nonce | undefined {
  const match = noncePattern.exec(text);
  if (match === null) return undefined;
  const [, time = "", random = "", signature = ""] = match;
  const id = `${time}.${random}`;
  if (!random.startsWith(issuer.boot) || !isSignature(signature, signedText(issuer, use, id), sign)) return undefined;
  return { issuedAt: Number.parseInt(time, 36), id };
}

/** The word in front keeps a nonce's signature from being that of a Via branch or a route. */
function signedText({ replica }: NonceIssuer, { realm, source }: NonceUse, id: string): string {
  return `nonce ${replica} ${realm.toLowerCase()} ${source} ${id}`;
}

/** True when its time is over, or has not come. */
export function isOutdated(nonce: Nonce, now: SteadyMs): boolean {
  return Math.abs(now - nonce.issuedAt) > nonceLifetimeSeconds * 1000;
}
