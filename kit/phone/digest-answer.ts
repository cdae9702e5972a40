/** A hash of octets, one a character, as lower-case hex. */
export type Md5 = (text: string) => string;

export type DigestQuestion = {
  /** The value of a WWW-Authenticate or Proxy-Authenticate. */
  readonly challenge: string;
  readonly user: string;
  readonly password: string;
  readonly method: string;
  readonly uri: string;
};

const cnonce = "cnonce";
/** A challenge is answered once: the count is always the first. */
const nonceCount = "00000001";

/** The credentials that answer a challenge for MD5 with qop=auth (RFC 7616 3.4). */
export function digestAnswer({ challenge, user, password, method, uri }: DigestQuestion, md5: Md5): string {
  const valueOf = (name: string): string => new RegExp(`\\b${name}="?([^",]+)"?`, "i").exec(challenge)?.[1] ?? "";
  const [realm, nonce] = [valueOf("realm"), valueOf("nonce")];
  const ha1 = md5(`${user}:${realm}:${password}`);
  const response = md5(`${ha1}:${nonce}:${nonceCount}:${cnonce}:auth:${md5(`${method}:${uri}`)}`);
  const quoted = { username: user, realm, nonce, uri, response, cnonce };
  const fields = Object.entries(quoted).map(([name, value]) => `${name}="${value}"`);
  return `Digest ${[...fields, "algorithm=MD5", "qop=auth", `nc=${nonceCount}`].join(", ")}`;
}
