import { isParseError } from "../errors.ts";
import { MessageEdit } from "../message/edit.ts";
import { Header, type HeaderId } from "../message/header-names.ts";
import { octetsOf } from "../message/octets.ts";
import { parseMessage, type SipMessage } from "../message/sip-message.ts";
import type { ProxyEnvironment } from "./environment.ts";

/**
 * Passwords for our realms are asked for by us, and told to us, and to nobody else (RFC 3261 22.3, 26.3.2.4). A realm of ours is the name of a
 * domain of ours. It is read as leniently as the most careless phone may read it: what a phone could take for our realm is our realm.
 */

/**
 * Every `realm` of a challenge or of credentials, also one inside of another value: its value in quotes, with escapes, or bare. No name of a
 * domain is longer, so that a long header costs no more than its length. White space is one space each by then.
 */
const realmPattern = /realm ?=(?= ?("(?:[^"\\]|\\.){0,200}|[^\s,;]{0,200}))/gi;
const challengeHeaders: readonly HeaderId[] = [Header.WwwAuthenticate, Header.ProxyAuthenticate];
const credentialsHeaders: readonly HeaderId[] = [Header.Authorization, Header.ProxyAuthorization];

/** What is asked for the names of our domains. */
export type OwnNames = Pick<ProxyEnvironment, "isOurs">;

/** Schemes that have no realm. What else has none cannot be read, and a phone may take it for ours. */
const schemeWithoutRealm = /^(?:bearer|negotiate|ntlm|kerberos) /;

/** Whether a challenge or credentials name a realm of ours, or may be read so. */
function namesOwnRealm(env: OwnNames, value: string): boolean {
  const text = value.replaceAll(/\s+/g, " ").trimStart();
  const lower = text.toLowerCase();
  // RFC 3261 22: nobody may ask for a password in the clear, so nobody gets one.
  if (lower.startsWith("basic")) return true;
  let count = 0;
  for (const [, quoted = ""] of text.matchAll(realmPattern)) {
    count += 1;
    const realm = quoted.replaceAll(/\\(.)/g, "$1").replaceAll('"', "").trim().replace(/\.+$/, "").toLowerCase();
    if (realm === "" || env.isOurs(realm, undefined)) return true;
  }
  return count === 0 && !schemeWithoutRealm.test(lower);
}

/** The values of a credentials header that are not for realms of ours. */
export function foreignCredentials(env: OwnNames, message: SipMessage, id: HeaderId): readonly string[] {
  return message.values(id).filter((value) => !namesOwnRealm(env, value));
}

/**
 * RFC 3261 22.3: credentials for our realms end here: whoever is called need not have what a password can be guessed from. Those for other realms
 * go on, whichever of them stand together.
 */
export function consumeCredentials(env: ProxyEnvironment, edit: MessageEdit, message: SipMessage): void {
  for (const id of credentialsHeaders) {
    if (!message.has(id)) continue;
    const foreign = foreignCredentials(env, message, id);
    if (foreign.length === message.values(id).length) continue;
    edit.removeAll(id);
    for (const value of foreign.toReversed()) edit.prepend(id, value);
  }
}

/**
 * A response from downstream without challenges in our realms. They are not the callee's to make, and a phone would answer them with what its
 * password can be guessed from. A 401 or 407 of which none is left is a 403: its callee has refused. The same message when it has none of ours.
 */
export function withoutOwnChallenges(env: ProxyEnvironment, response: SipMessage): SipMessage {
  if (!response.has(Header.WwwAuthenticate) && !response.has(Header.ProxyAuthenticate)) return response;
  const edit = new MessageEdit(response);
  let kept = 0;
  let removed = 0;
  for (const id of challengeHeaders) {
    const values = response.values(id);
    const foreign = values.filter((value) => !namesOwnRealm(env, value));
    kept += foreign.length;
    if (foreign.length === values.length) continue;
    removed += values.length - foreign.length;
    edit.removeAll(id);
    for (const value of foreign.toReversed()) edit.prepend(id, value);
  }
  if (removed === 0) return response;
  const octets = edit.serialize();
  const isRefusal = kept === 0 && (response.status === 401 || response.status === 407);
  const stripped = parseMessage(isRefusal ? withStatusLine(octets, "SIP/2.0 403 Forbidden") : octets);
  return isParseError(stripped) ? response : stripped;
}

/** A response with another first line. */
function withStatusLine(octets: Uint8Array, line: string): Uint8Array {
  const rest = octets.subarray(octets.indexOf(0x0d));
  const changed = new Uint8Array(line.length + rest.length);
  changed.set(octetsOf(line), 0);
  changed.set(rest, line.length);
  return changed;
}
