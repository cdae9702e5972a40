import { isParseError } from "../errors.ts";
import { credentialsCheckedMax, cSeqMax } from "../limits.ts";
import { Header } from "../message/header-names.ts";
import type { HeaderField } from "../message/build.ts";
import { quote } from "../message/params.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { escapeUser, isSipUri, parseUri, unescapeUri } from "../message/uri.ts";
import { equalInConstantTime, type Sign } from "../flow/token.ts";
import { credentialsFor, type CredentialsHeader, type DigestAlgorithm, type DigestCredentials } from "./credentials.ts";
import { isOutdated, makeNonce, parseNonce, type NonceIssuer } from "./nonce.ts";
import type { NonceMemory } from "./nonce-memory.ts";
import type { SteadyMs } from "../time.ts";

/** A hash as lower-case hex, over the text's octets (one char is one octet). */
export type Hash = (algorithm: DigestAlgorithm, text: string) => string;

/** HA1 values of one user (RFC 7616 3.4.2), hex. */
export type DigestSecrets = {
  /** H(user ":" realm ":" password). */
  readonly ha1Md5: string;
  readonly ha1Sha256: string;
  /** H(user "@" domain ":" realm ":" password), for phones that put that into username. Absent or empty: those are refused. */
  readonly ha1bMd5?: string;
  readonly ha1bSha256?: string;
};

export type DigestCheck = {
  readonly message: SipMessage;
  /** The method that the digest covers: the message's, but INVITE for its ACK. */
  readonly method: string;
  readonly header: CredentialsHeader;
  readonly realm: string;
  /** Undefined: no such user. */
  readonly secrets: DigestSecrets | undefined;
  readonly now: SteadyMs;
  readonly sign: Sign;
  readonly hash: Hash;
  readonly nonces: NonceMemory;
  readonly issuer: NonceIssuer;
  /** Where the request comes from: nonces are made for one source. */
  readonly source: string;
  /** The message's credentials for the realm, when they are known already. */
  readonly credentials?: readonly DigestCredentials[];
  /** Those that challenges offer: credentials of any other are answered like none (RFC 8760 2.4: no way back to the weaker one). */
  readonly algorithms: readonly DigestAlgorithm[];
  /** Hosts that mean our domains; both the Request-URI and the digest-uri naming one of them is as good as the same host. */
  readonly isOurHost?: (host: string) => boolean;
};

/**
 * - ok: `username` has proved that it knows the password.
 * - challenge: answer 401 or 407 with {@link challenges}; `stale`: the nonce was not good any more, and nothing is said of the password.
 * - bad: wrong password, or no such user. Answer like a challenge without stale (RFC 3261 22.1 allows 403; a 401 lets the user try again,
 *   and says nothing about which users exist).
 */
export type DigestResult =
  | { readonly result: "ok"; readonly username: string; readonly algorithm: DigestAlgorithm }
  | { readonly result: "challenge"; readonly stale: boolean }
  | { readonly result: "bad"; readonly username: string };

/**
 * The address-of-record of a username, given as `user` or as `user@domain` (as Kamailio takes them): whose secrets to look up. Undefined
 * when it names another domain. `domain` is the realm's.
 */
export function addressOfRecordOfUsername(username: string, domain: string): string | undefined {
  const user = userOfUsername(username, domain);
  return user === undefined ? undefined : `${escapeUser(user)}@${domain}`;
}

/** RFC 3261 10.3 4: a user may change the bindings of its own address-of-record (canonical form); 403 otherwise. */
export function ownsAddressOfRecord(username: string, addressOfRecord: string): boolean {
  const at = addressOfRecord.lastIndexOf("@");
  return at > 0 && userOfUsername(username, addressOfRecord.slice(at + 1)) === unescapeUri(addressOfRecord.slice(0, at));
}

function userOfUsername(username: string, domain: string): string | undefined {
  const at = username.lastIndexOf("@");
  if (at < 0) return username;
  return at > 0 && username.slice(at + 1).toLowerCase() === domain.toLowerCase() ? username.slice(0, at) : undefined;
}

/**
 * Checks a request's digest credentials (RFC 7616, RFC 8760, RFC 3261 22.4). The choices:
 * - qop: we offer `auth` only, and take credentials without qop too (RFC 8760 2.6 8, as Kamailio does). A nonce serves such a client once. Without a
 *   nonce count a second use cannot be told from a replay. auth-int and the -sess algorithms are not offered, not taken.
 * - Only algorithms that were offered count: who asks for SHA-256 alone is not content with MD5.
 * - Of several credentials for the realm the best algorithm counts; all must have the same username.
 * - A nonce that is expired, unknown, another's or used up makes `stale=true` (RFC 7616 3.3), so that phones do not ask their users. The password is
 *   not looked at unless the nonce is good. Guesses count at the address that was asked, and an old nonce tells nothing about them.
 * - digest-uri need not be the Request-URI letter by letter: same user, and same host or both ours (see {@link isSameResource}).
 * ACK and CANCEL must never be challenged (RFC 3261 22.1): the caller's business.
 */
export function checkDigest(check: DigestCheck): DigestResult {
  const { algorithms, issuer, message, nonces, now, realm, sign, source } = check;
  const all = (check.credentials ?? credentialsFor(message, check.header, realm)).slice(0, credentialsCheckedMax);
  const [first] = all;
  if (first === undefined) return { result: "challenge", stale: false };
  let isStale = false;
  let isChecked = false;
  for (const credentials of all) {
    const { algorithm, username } = credentials;
    if (algorithm === undefined || !algorithms.includes(algorithm)) continue;
    if (username !== first.username || !isWellFormed(credentials)) continue;
    if (!isSameResource(message, credentials.uri, check.isOurHost)) continue;
    const nonce = parseNonce(credentials.nonce, issuer, { realm, source }, sign);
    if (nonce === undefined || isOutdated(nonce, now) || nonce.issuedAt < nonces.floor) {
      isStale = true;
      continue;
    }
    isChecked = true;
    if (!isResponseRight(check, credentials, algorithm)) continue;
    // Without qop: the highest count there is, so that nothing can follow.
    const count = credentials.qop === "" ? cSeqMax : Number.parseInt(credentials.nc, 16);
    return nonces.use(nonce, count, now) ? { result: "ok", username, algorithm } : { result: "challenge", stale: true };
  }
  return isChecked ? { result: "bad", username: first.username } : { result: "challenge", stale: isStale };
}

function isWellFormed(credentials: DigestCredentials): boolean {
  if (!/^[0-9a-fA-F]+$/.test(credentials.response)) return false;
  if (credentials.qop === "") return true;
  return credentials.qop === "auth" && credentials.cnonce !== "" && /^[0-9a-fA-F]{8}$/.test(credentials.nc);
}

function isResponseRight(check: DigestCheck, credentials: DigestCredentials, algorithm: DigestAlgorithm): boolean {
  const ha1 = ha1Of(check.secrets, credentials.username, algorithm);
  // A user that does not exist costs the same time.
  const expected = digestResponse(check.hash, algorithm, ha1 ?? "0".repeat(32), check.method, credentials);
  const isEqual = equalInConstantTime(credentials.response.toLowerCase(), expected);
  return isEqual && ha1 !== undefined;
}

function ha1Of(secrets: DigestSecrets | undefined, username: string, algorithm: DigestAlgorithm): string | undefined {
  if (secrets === undefined) return undefined;
  const hasDomain = username.includes("@");
  const md5 = hasDomain ? secrets.ha1bMd5 : secrets.ha1Md5;
  const sha256 = hasDomain ? secrets.ha1bSha256 : secrets.ha1Sha256;
  const ha1 = algorithm === "MD5" ? md5 : sha256;
  return ha1 === undefined || ha1 === "" ? undefined : ha1;
}

/** RFC 7616 3.4.1: request-digest for qop=auth, or without qop as RFC 2069 made it. */
export function digestResponse(
  hash: Hash,
  algorithm: DigestAlgorithm,
  ha1: string,
  method: string,
  credentials: Pick<DigestCredentials, "nonce" | "nc" | "cnonce" | "qop" | "uri">,
): string {
  const ha2 = hash(algorithm, `${method}:${credentials.uri}`);
  const { nonce, nc, cnonce, qop } = credentials;
  return hash(algorithm, qop === "" ? `${ha1}:${nonce}:${ha2}` : `${ha1}:${nonce}:${nc}:${cnonce}:${qop}:${ha2}`);
}

/**
 * RFC 8760 2.6 6: digest-uri and Request-URI need not be equal, because a proxy on the way may have changed the latter. But they must be for the same
 * user. Otherwise one captured request would be good for a call to anybody. Scheme, port and parameters are not looked at; hosts are the same when
 * both are ours. Other schemes are compared as text.
 */
function isSameResource(message: SipMessage, digestUri: string, isOurHost: ((host: string) => boolean) | undefined): boolean {
  if (digestUri === message.requestUri) return true;
  const requested = message.parsedRequestUri;
  const claimed = parseUri(digestUri);
  if (isParseError(requested) || isParseError(claimed)) return false;
  if (!isSipUri(requested) || !isSipUri(claimed)) return digestUri.toLowerCase() === message.requestUri.toLowerCase();
  if (unescapeUri(requested.user ?? "") !== unescapeUri(claimed.user ?? "")) return false;
  return requested.host === claimed.host || (isOurHost?.(requested.host) === true && isOurHost(claimed.host));
}

/**
 * The challenges of a 401 (`Header.Authorization` will answer them) or a 407, in the given order of preference (RFC 8760 2.3), with one
 * nonce. What is offered is what {@link checkDigest} takes.
 */
export function challenges(
  header: CredentialsHeader,
  realm: string,
  options: {
    readonly issuer: NonceIssuer;
    /** Where the request came from. */
    readonly source: string;
    readonly now: SteadyMs;
    readonly random: string;
    readonly sign: Sign;
    readonly stale: boolean;
    readonly algorithms: readonly DigestAlgorithm[];
  },
): HeaderField[] {
  const name = header === Header.Authorization ? "WWW-Authenticate" : "Proxy-Authenticate";
  const nonce = makeNonce(options.issuer, { realm, source: options.source }, options.now, options.random, options.sign);
  const stale = options.stale ? ", stale=true" : "";
  return options.algorithms.map((algorithm) => [
    name,
    `Digest realm=${quote(realm)}, nonce="${nonce}", qop="auth", algorithm=${algorithm}${stale}`,
  ]);
}

/**
 * The secrets to keep of a new subscriber (`user@domain`, realm = domain). The password is UTF-8 as one char per octet, or ASCII.
 */
export function secretsOf(hash: Hash, addressOfRecord: string, password: string): Required<DigestSecrets> {
  const at = addressOfRecord.lastIndexOf("@");
  // Phones hash what their users typed: `*21#`, not `*21%23`.
  const user = unescapeUri(addressOfRecord.slice(0, at));
  const realm = addressOfRecord.slice(at + 1);
  return {
    ha1Md5: hash("MD5", `${user}:${realm}:${password}`),
    ha1Sha256: hash("SHA-256", `${user}:${realm}:${password}`),
    ha1bMd5: hash("MD5", `${user}@${realm}:${realm}:${password}`),
    ha1bSha256: hash("SHA-256", `${user}@${realm}:${realm}:${password}`),
  };
}
