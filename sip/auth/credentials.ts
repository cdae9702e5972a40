import { credentialsOctetsMax, credentialsParametersMax } from "../limits.ts";
import { isOf, skipSpace, TOKEN } from "../message/characters.ts";
import type { Header, HeaderId } from "../message/header-names.ts";
import { endOfQuoted, unquote } from "../message/params.ts";
import type { SipMessage } from "../message/sip-message.ts";

export type DigestAlgorithm = "MD5" | "SHA-256";

/** Digest credentials of a request (RFC 7616 3.4, RFC 3261 25.1), unquoted. Absent ones are empty. */
export type DigestCredentials = {
  readonly username: string;
  readonly realm: string;
  readonly nonce: string;
  /** digest-uri as the client wrote it. */
  readonly uri: string;
  readonly response: string;
  /** Undefined: none that we offer. Absent means MD5 (RFC 7616 3.4). */
  readonly algorithm: DigestAlgorithm | undefined;
  readonly cnonce: string;
  /** Lower-case. */
  readonly qop: string;
  /** Eight hex digits. */
  readonly nc: string;
};

/**
 * Reads one value of Authorization or Proxy-Authorization. Undefined for another scheme (RFC 3261 22: Basic is never accepted) and for
 * what is malformed: such a request is challenged like one without credentials. A parameter that stands twice is malformed: two readers
 * could take different ones.
 */
export function parseCredentials(text: string): DigestCredentials | undefined {
  if (text.length > credentialsOctetsMax) return undefined;
  let i = skipSpace(text, 0);
  const schemeStart = i;
  while (isOf(text.charCodeAt(i), TOKEN)) i++;
  if (text.slice(schemeStart, i).toLowerCase() !== "digest") return undefined;
  const params = new Map<string, string>();
  while (i < text.length) {
    i = skipSpace(text, i);
    const nameStart = i;
    while (isOf(text.charCodeAt(i), TOKEN)) i++;
    const name = text.slice(nameStart, i).toLowerCase();
    i = skipSpace(text, i);
    if (name === "" || text.charCodeAt(i) !== 0x3d) return undefined;
    const valueStart = skipSpace(text, i + 1);
    const valueEnd = endOfValue(text, valueStart);
    if (valueEnd < 0 || params.has(name) || params.size === credentialsParametersMax) return undefined;
    params.set(name, unquote(text.slice(valueStart, valueEnd)));
    i = skipSpace(text, valueEnd);
    if (i === text.length) return credentialsOf(params);
    if (text.charCodeAt(i) !== 0x2c) return undefined;
    i = skipSpace(text, i + 1);
    // A comma at the end is an empty list element, which RFC 7230 7 tells recipients to bear.
    if (i === text.length) return credentialsOf(params);
  }
  return undefined;
}

function endOfValue(text: string, at: number): number {
  if (text.charCodeAt(at) === 0x22) return endOfQuoted(text, at);
  let i = at;
  while (i < text.length && text.charCodeAt(i) > 0x20 && text.charCodeAt(i) !== 0x2c && text.charCodeAt(i) !== 0x22) i++;
  return i === at ? -1 : i;
}

function credentialsOf(params: ReadonlyMap<string, string>): DigestCredentials | undefined {
  const get = (name: string): string => params.get(name) ?? "";
  // RFC 7616 3.4.4: we never ask for hashed user names.
  if (get("userhash").toLowerCase() === "true") return undefined;
  const credentials: DigestCredentials = {
    username: get("username"),
    realm: get("realm"),
    nonce: get("nonce"),
    uri: get("uri"),
    response: get("response"),
    algorithm: algorithmOf(params.get("algorithm")),
    cnonce: get("cnonce"),
    qop: get("qop").toLowerCase(),
    nc: get("nc"),
  };
  const { username, realm, nonce, uri, response } = credentials;
  return username === "" || realm === "" || nonce === "" || uri === "" || response === "" ? undefined : credentials;
}

function algorithmOf(text: string | undefined): DigestAlgorithm | undefined {
  if (text === undefined) return "MD5";
  switch (text.toUpperCase()) {
    case "MD5":
      return "MD5";
    case "SHA-256":
      return "SHA-256";
    default:
      return undefined;
  }
}

/** Where a request carries its credentials: for us as a registrar or user agent, or for us as a proxy (RFC 3261 22.2, 22.3). */
export type CredentialsHeader = typeof Header.Authorization | typeof Header.ProxyAuthorization;

/**
 * The request's credentials for a realm, SHA-256 before MD5 (RFC 8760 2.3). Those of other realms are for others (RFC 3261 22.3). Realms
 * are compared in any case, as they are domains.
 */
export function credentialsFor(message: SipMessage, header: CredentialsHeader, realm: string): DigestCredentials[] {
  const id: HeaderId = header;
  const found: DigestCredentials[] = [];
  for (const value of message.values(id)) {
    const credentials = parseCredentials(value);
    if (credentials !== undefined && credentials.realm.toLowerCase() === realm.toLowerCase()) found.push(credentials);
  }
  return found.toSorted((first, second) => rank(first) - rank(second));
}

function rank(credentials: DigestCredentials): number {
  return credentials.algorithm === "SHA-256" ? 0 : 1;
}
