import { createHash, createHmac } from "node:crypto";
import { base36 } from "../sip/base-36.ts";
import { sipHash, sipHashKeyOf } from "../sip/flow/sip-hash.ts";
import { equalInConstantTime, type Sign } from "../sip/flow/token.ts";
import { signatureAgeSecondsMax } from "../cluster/limits.ts";

/**
 * Requests between cells, gateways and the command are signed with the cluster's secret:
 *
 *     Authorization: Tandem2 <who> <to> <unix ms> <nonce> <sha256 hex of the body, - for none> <hex HMAC-SHA256(secret, ...)>
 *
 * What is signed: `Tandem2`, purpose, who, to, ms, nonce, method, path with query, and the hash of the body, a line each. The purpose (`backhaul 3`,
 * `control`, `cell`, `api`) and the cell that it is for keep a signature that was made for one use from serving another. The hash of the body stands in
 * the header, so that a body is not even read before it is known whose it is. The nonce makes it good once: docs/decisions/0015.
 */
export const signatureScheme = "Tandem2";

/** What a signature is made of, apart from the secret, the time and the nonce. */
export type ToSign = {
  readonly purpose: string;
  /** Who signs: a gateway, a cell, or `cli`. */
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

/** Why there is none. `version`: it was made by another version of Tandem. */
export type NoSignature = { readonly refusal: "version" | "wrong" };

const headerPattern = new RegExp(
  `^${signatureScheme} ([0-9A-Za-z._-]{1,64}) ([0-9A-Za-z._-]{1,64}) (\\d{1,15}) ([0-9A-Za-z_-]{12}) (-|[0-9a-f]{64}) ([0-9a-f]{64})$`,
);
/** Longer than any signature of ours: not looked at. */
const headerOctetsMax = 512;

/** The value of an Authorization header. `nowMs`: ms since the epoch. */
export function authorizationFor(secret: string, request: ToSign, nowMs: number): string {
  const { who, to, body } = request;
  const bodyHash = bodyHashOf(body);
  const madeAt = Math.floor(nowMs).toString();
  const nonce = newNonce();
  return `${signatureScheme} ${who} ${to} ${madeAt} ${nonce} ${bodyHash} ${signatureOf(secret, request, who, madeAt, nonce, bodyHash)}`;
}

/** Reads and checks the header of a request. Whether its body is the one that was signed is for {@link isBodyOf}. */
export function checkSignature(header: string | undefined, secret: string, request: Received, nowMs: number): Signature | NoSignature {
  if (header === undefined || header.length > headerOctetsMax) return { refusal: "wrong" };
  const match = headerPattern.exec(header);
  if (match === null) return { refusal: /^Tandem\d* /.test(header) && !header.startsWith(`${signatureScheme} `) ? "version" : "wrong" };
  const [, who = "", to = "", madeAt = "", nonce = "", bodyHash = "", signature = ""] = match;
  if (to !== request.to || Math.abs(nowMs - Number(madeAt)) > signatureAgeSecondsMax * 1000) return { refusal: "wrong" };
  if (!equalInConstantTime(signature, signatureOf(secret, request, who, madeAt, nonce, bodyHash))) return { refusal: "wrong" };
  return { who, madeAt: Number(madeAt), nonce, bodyHash };
}

export function isBodyOf({ bodyHash }: Signature, body: Uint8Array | undefined): boolean {
  return equalInConstantTime(bodyHash, bodyHashOf(body));
}

/** Path and query of a URL, as they are signed. */
export function signedPathOf(url: string): string {
  return url.slice(url.indexOf("/", url.indexOf("://") + 3));
}

function signatureOf(secret: string, request: Received, who: string, madeAt: string, nonce: string, bodyHash: string): string {
  const { purpose, to, method, path } = request;
  const text = `${signatureScheme}\n${purpose}\n${who}\n${to}\n${madeAt}\n${nonce}\n${method}\n${path}\n${bodyHash}`;
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

/** The core's plain hashes for digest authentication (RFC 8760), as hex. */
export function hashOf(algorithm: "MD5" | "SHA-256", text: string): string {
  return createHash(algorithm === "MD5" ? "md5" : "sha256")
    .update(text, "latin1")
    .digest("hex");
}
