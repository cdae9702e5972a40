import { createHash, createHmac } from "node:crypto";
import { base36 } from "../sip/base-36.ts";
import { sipHash, sipHashKeyOf } from "../sip/sip-hash.ts";
import { equalInConstantTime, type KeyedHash, type Sign } from "../sip/flow/token.ts";
import type { Secrets } from "../cluster/authority/keyring.ts";
import { signatureAgeSecondsMax } from "../cluster/limits.ts";
import { memberScheme, type Scheme, secretScheme, signedHeader, signedText, type SignedParts } from "../cluster/signed-text.ts";
import { type CheckingKeys, isSignedBy, type SigningKey, signWith } from "./member-keys.ts";

/**
 * How requests between cells, gateways, hosts and the command are signed: cluster/signed-text.ts. The purpose and the cell that it is for keep a signature
 * that was made for one use from serving another. The hash of the body stands in the header, so that a body is not even read before it is known whose it
 * is. The nonce makes it good once: docs/decisions/0015, and for keys of members docs/decisions/0046.
 */

/** What a signature is made of, apart from the key, the time and the nonce. */
export type ToSign = {
  readonly purpose: string;
  /** Who signs: a member, or `cli`. */
  readonly who: string;
  /** The cell that is to take it. */
  readonly to: string;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly body?: Uint8Array | undefined;
};

/** What the receiver of a request knows of it before it reads the body. */
export type Received = Omit<ToSign, "who" | "body">;

/** A signature that is right for its request, as far as that can be known without the body. */
export type Signature = {
  readonly who: string;
  /** When it was made, ms since the epoch by the signer's clock. */
  readonly madeAt: number;
  readonly nonce: string;
  readonly bodyHash: string;
};

/**
 * Why there is none. `version`: it is of another scheme. `not allowed`: it is right, and its member may not ask for this. `old`: it is right, and was made
 * too long ago by our clock, or will be.
 */
export type NoSignature = { readonly refusal: "version" | "wrong" | "old" | "not allowed" };

const front = "([0-9A-Za-z._-]{1,64}) ([0-9A-Za-z._-]{1,64}) (\\d{1,15}) ([0-9A-Za-z_-]{12}) (-|[0-9a-f]{64})";
/** The last character of 64 octets in base64url carries two bits: no other text stands for the same signature. */
const patterns: Readonly<Record<Scheme, RegExp>> = {
  [secretScheme]: new RegExp(`^${secretScheme} ${front} ([0-9a-f]{64})$`),
  [memberScheme]: new RegExp(`^${memberScheme} ${front} ([0-9A-Za-z_-]{85}[AQgw])$`),
};
/** Longer than any signature of ours: not looked at. */
const headerOctetsMax = 512;

/** Which signatures are made and taken with these. */
export function schemeOf(keys: SigningKey | CheckingKeys): Scheme {
  return typeof keys === "string" ? secretScheme : memberScheme;
}

/** The value of an Authorization header. `nowMs`: ms since the epoch. */
export function authorizationFor(key: SigningKey, { body, ...request }: ToSign, nowMs: number): string {
  const scheme = schemeOf(key);
  const parts = { ...request, madeAt: Math.floor(nowMs), nonce: newNonce(), bodyHash: bodyHashOf(body) };
  const text = signedText(scheme, parts);
  return signedHeader(scheme, parts, typeof key === "string" ? hmacOf(key, text) : signWith(key, text));
}

/** Reads and checks the header of a request. Whether its body is the one that was signed is for {@link isBodyOf}. */
export function checkSignature(header: string | undefined, keys: CheckingKeys, request: Received, nowMs: number): Signature | NoSignature {
  if (header === undefined || header.length > headerOctetsMax) return { refusal: "wrong" };
  const scheme = schemeOf(keys);
  const match = patterns[scheme].exec(header);
  if (match === null) return { refusal: /^Tandem\d* /.test(header) && !header.startsWith(`${scheme} `) ? "version" : "wrong" };
  const [, who = "", to = "", madeAt = "", nonce = "", bodyHash = "", signature = ""] = match;
  if (to !== request.to) return { refusal: "wrong" };
  const fault = faultOf(keys, { ...request, who, madeAt, nonce, bodyHash }, signature);
  if (fault !== undefined) return fault;
  if (Math.abs(nowMs - Number(madeAt)) > signatureAgeSecondsMax * 1000) return { refusal: "old" };
  return { who, madeAt: Number(madeAt), nonce, bodyHash };
}

function faultOf(keys: CheckingKeys, parts: SignedParts, signature: string): NoSignature | undefined {
  const text = signedText(schemeOf(keys), parts);
  if (typeof keys === "string") return equalInConstantTime(signature, hmacOf(keys, text)) ? undefined : { refusal: "wrong" };
  const known = keys(parts.who, parts.purpose);
  if (known === undefined || !isSignedBy(known.key, text, signature)) return { refusal: "wrong" };
  return known.mayUse ? undefined : { refusal: "not allowed" };
}

export function isBodyOf({ bodyHash }: Signature, body: Uint8Array | undefined): boolean {
  return equalInConstantTime(bodyHash, bodyHashOf(body));
}

/** Path and query of a URL, as they are signed. */
export function signedPathOf(url: string): string {
  return url.slice(url.indexOf("/", url.indexOf("://") + 3));
}

function hmacOf(secret: string, text: string): string {
  return createHmac("sha256", secret).update(text).digest("hex");
}

function bodyHashOf(body: Uint8Array | undefined): string {
  return body === undefined || body.length === 0 ? "-" : createHash("sha256").update(body).digest("hex");
}

/** 62 random bits. Short enough for V8 to copy it out of a header that it was found in, instead of keeping that. */
function newNonce(): string {
  const [first = 0, second = 0] = crypto.getRandomValues(new Uint32Array(2));
  return base36(first, 6) + base36(second, 6);
}

/**
 * The core's keyed hash for tokens and nonces: SipHash under a key that is derived from the secret. So no token can ever be mistaken for a signed
 * request. An HMAC takes 4.7 us to be called, and this half a microsecond: a call makes or checks nine.
 */
export function tokenSigner(secret: string): Sign {
  const key = sipHashKeyOf(createHmac("sha256", secret).update("tokens").digest());
  return (text) => sipHash(key, text);
}

/** The same by secrets that change while the system runs. */
export function changingTokenSigner(secrets: () => Secrets): Sign {
  let known = secrets();
  let present: KeyedHash = tokenSigner(known.signing);
  let accepted: readonly KeyedHash[] = known.accepted.map(tokenSigner);
  const read = (): void => {
    const newest = secrets();
    if (newest === known) return;
    known = newest;
    present = tokenSigner(known.signing);
    accepted = known.accepted.map(tokenSigner);
  };
  const sign = (text: string): string => {
    read();
    return present(text);
  };
  return Object.assign(sign, {
    accepted: () => {
      read();
      return accepted;
    },
  });
}

/** The core's plain hashes for digest authentication (RFC 8760), as hex. */
export function hashOf(algorithm: "MD5" | "SHA-256", text: string): string {
  return createHash(algorithm === "MD5" ? "md5" : "sha256")
    .update(text, "latin1")
    .digest("hex");
}
