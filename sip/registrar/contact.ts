import { isParseError, parseError, type ParseError } from "../errors.ts";
import {
  contactOctetsMax,
  contactParametersOctetsMax,
  expiresSecondsDefault,
  expiresSecondsMax,
  expiresSecondsMin,
  instanceIdOctetsMax,
  regIdMax,
} from "../limits.ts";
import type { NameAddr } from "../message/name-addr.ts";
import { unquote } from "../message/params.ts";
import { expiresOf } from "../message/sip-message.ts";
import { escapeUser, isSipUri, unescapeUri, type SipUri, type Uri } from "../message/uri.ts";

/** One Contact of a REGISTER, read (RFC 3261 10.3 7, RFC 5626 6). */
export type RequestedContact = {
  /** The URI as it stands. */
  readonly contact: string;
  readonly uri: Uri;
  /** Parameters to keep and to give back: all but expires and q. */
  readonly parameters: string;
  readonly q: number | undefined;
  /** Requested expiration in seconds, 0: remove. */
  readonly expires: number;
  readonly instanceId: string;
  /** 0: none, or none that counts (no instance). */
  readonly regId: number;
};

/**
 * Reads a Contact. `headerExpires`: the Expires header's seconds, for contacts without a parameter of their own. An expiration that is
 * malformed counts as one hour (10.2); any URI scheme may be registered (10.2.1). Errors are 400: what is malformed or too long.
 */
export function readContact(nameAddr: NameAddr, headerExpires: number | undefined): RequestedContact | ParseError {
  if (nameAddr.uri.length > contactOctetsMax) {
    return parseError("contact-max", 400, `Contact URI Over ${contactOctetsMax} Octets`, contactOctetsMax);
  }
  const uri = nameAddr.parsedUri;
  if (isParseError(uri)) return uri;
  const { params } = nameAddr;
  const expires = params.get("expires");
  const q = params.get("q");
  if (q !== undefined && !/^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(q)) return parseError("contact-q", 400, "Malformed q in Contact");
  const parameters = params.without("expires").without("q").serialize();
  if (parameters.length > contactParametersOctetsMax) {
    return parseError("contact-params-max", 400, "Contact Parameters Too Long", contactParametersOctetsMax);
  }
  const instanceId = instanceIdOf(params.get("+sip.instance"));
  if (instanceId.length > instanceIdOctetsMax) return parseError("instance-max", 400, "Instance ID Too Long", instanceIdOctetsMax);
  const regId = params.get("reg-id");
  if (regId !== undefined && !isRegId(regId)) return parseError("reg-id", 400, "Malformed reg-id");
  return {
    contact: nameAddr.uri,
    uri,
    parameters,
    q: q === undefined ? undefined : Number(q),
    expires: expires === undefined ? (headerExpires ?? expiresSecondsDefault) : expiresOf(expires),
    instanceId,
    // RFC 5626 6: a reg-id without an instance is ignored.
    regId: regId === undefined || instanceId === "" ? 0 : Number(regId),
  };
}

/**
 * What the registrar grants of a requested expiration (RFC 3261 10.3 7). It is at most {@link expiresSecondsMax}, and less by the part `jitter`
 * (0..0.5), but for that not less than {@link expiresSecondsMin}.
 */
export function grantedExpires(requested: number, jitter: number): number {
  const seconds = Math.min(requested, expiresSecondsMax);
  const shortened = seconds - Math.floor(seconds * Math.min(Math.max(jitter, 0), 0.5));
  return Math.max(shortened, Math.min(seconds, expiresSecondsMin));
}

/** `"<urn:uuid:...>"` without quotes and brackets; a UUID in lower case, as its URN is compared (RFC 4122 3, RFC 5626 4.1). */
export function instanceIdOf(value: string | undefined): string {
  if (value === undefined) return "";
  const text = unquote(value);
  const bare = text.startsWith("<") && text.endsWith(">") ? text.slice(1, -1) : text;
  return /^urn:uuid:/i.test(bare) ? bare.toLowerCase() : bare;
}

function isRegId(text: string): boolean {
  if (!/^\d{1,10}$/.test(text)) return false;
  const value = Number(text);
  return value >= 1 && value <= regIdMax;
}

/**
 * A contact's URI spelled so that two phones' usual ways to write one URI are one text. It only names a new binding: whether a contact
 * is that of a present binding is decided by RFC 3261 19.1.4.
 */
export function canonicalContact(uri: Uri): string {
  if (!isSipUri(uri)) return "text" in uri ? uri.text : `tel:${uri.number}${uri.params.serialize().toLowerCase()}`;
  const user = uri.user === undefined ? "" : `${escapeUser(unescapeUri(uri.user))}@`;
  const port = uri.port === undefined ? "" : `:${uri.port}`;
  const params = uri.params
    .entries()
    .map(([name, value]) => (value === "" ? `;${name}` : `;${name}=${value.toLowerCase()}`))
    .toSorted()
    .join("");
  const headers = uri.headers === "" ? "" : `?${uri.headers}`;
  return `${uri.scheme}:${user}${uri.host}${port}${params}${headers}`;
}

/** A URI that nobody can be reached at but on the connection of who has registered it: only clients open WebSockets (RFC 7118 5). */
export function isUndialable(uri: SipUri): boolean {
  const transport = uri.params.get("transport")?.toLowerCase();
  return isInvalidHost(uri) || transport === "ws" || transport === "wss";
}

/** A host that no one can dial: what browsers put into their Contact (RFC 2606, RFC 7118 5). */
export function isInvalidHost(uri: SipUri): boolean {
  return uri.host === "invalid" || uri.host.endsWith(".invalid");
}
