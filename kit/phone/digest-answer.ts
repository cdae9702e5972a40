/** A hash of octets, one a character, as lower-case hex. */
export type Md5 = (text: string) => string;

export type DigestQuestion = {
  readonly realm: string;
  readonly nonce: string;
  /** So often has the nonce been answered, this time included. */
  readonly nonceCount: number;
  readonly user: string;
  readonly password: string;
  readonly method: string;
  readonly uri: string;
};

/** Always the same: these phones have nothing to hide from a server that chooses its nonces. */
const cnonce = "cnonce";

/** The credentials that answer a challenge for MD5 with qop=auth (RFC 7616 3.4). */
export function digestAnswer({ realm, nonce, nonceCount, user, password, method, uri }: DigestQuestion, md5: Md5): string {
  const nc = nonceCount.toString(16).padStart(8, "0");
  const ha1 = md5(`${user}:${realm}:${password}`);
  const response = md5(`${ha1}:${nonce}:${nc}:${cnonce}:auth:${md5(`${method}:${uri}`)}`);
  const quoted = Object.entries({ username: user, realm, nonce, uri, response, cnonce }).map(([name, value]) => `${name}="${value}"`);
  return `Digest ${[...quoted, "algorithm=MD5", "qop=auth", `nc=${nc}`].join(", ")}`;
}

/** A quoted parameter of a challenge; empty when there is none. */
export function challengeParameter(challenge: string, name: "realm" | "nonce"): string {
  return new RegExp(`\\b${name}="([^"]*)"`, "i").exec(challenge)?.[1] ?? "";
}
