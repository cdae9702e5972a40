/**
 * Requests between cells, gateways, hosts and the command are signed:
 *
 *     Authorization: <scheme> <who> <to> <unix ms> <nonce> <sha256 hex of the body, - for none> <signature>
 *
 * `Tandem2` is an HMAC-SHA256 under the secret of the system, in hex. `Tandem3` is the Ed25519 signature of a member, in base64url, in a system with an
 * authority. Both are over the same lines, behind the word in front.
 */
export type Scheme = typeof secretScheme | typeof memberScheme;

export const secretScheme = "Tandem2";
export const memberScheme = "Tandem3";

/** What is signed of a request. */
export type SignedParts = {
  /** What it is for: `backhaul 3`, `pair 3`, `line 3`, `control`, `cell`, `host` or `api`. */
  readonly purpose: string;
  readonly who: string;
  /** The cell that is to take it. */
  readonly to: string;
  /** ms since the epoch. */
  readonly madeAt: number | string;
  readonly nonce: string;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** SHA-256 as hex; `-`: there is no body. */
  readonly bodyHash: string;
};

/** What the signature is over, one thing a line. */
export function signedText(scheme: Scheme, { purpose, who, to, madeAt, nonce, method, path, bodyHash }: SignedParts): string {
  return `${scheme}\n${purpose}\n${who}\n${to}\n${madeAt}\n${nonce}\n${method}\n${path}\n${bodyHash}`;
}

/** The value of the header. */
export function signedHeader(scheme: Scheme, { who, to, madeAt, nonce, bodyHash }: SignedParts, signature: string): string {
  return `${scheme} ${who} ${to} ${madeAt} ${nonce} ${bodyHash} ${signature}`;
}
