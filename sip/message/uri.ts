import { isParseError, parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { listValuesMax, startLineOctetsMax } from "../limits.ts";
import { ALPHA, BARE, DIGIT, UNRESERVED, URI_HEADER, URI_PARAM, USER, codeAt, isOf } from "./characters.ts";
import { parseHostPort } from "./host-port.ts";
import { parseIpv6 } from "./ip-address.ts";
import { octetsOf } from "./octets.ts";
import { Params, indexOfName, noParams } from "./params.ts";

/** A SIP or SIPS URI (RFC 3261 19.1.1). */
export type SipUri = {
  readonly scheme: "sip" | "sips";
  /** As it stands, escapes and all; undefined when there is no `@`. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** Lower-case; an IPv6 address in its brackets. */
  readonly host: string;
  readonly port: number | undefined;
  /** Names lower-case; names and values without needless escapes: `;%6Cr` is `lr`, `%25` and `%3B` stay. */
  readonly params: Params;
  /** What follows the `?`, as it stands; `""` when there is none. */
  readonly headers: string;
};

/** A telephone number (RFC 3966). */
export type TelUri = {
  readonly scheme: "tel";
  /** With its `+` and visual separators, as it stands. */
  readonly number: string;
  readonly params: Params;
};

/** Any other scheme: the core forwards it but cannot resolve it (RFC 3261 16.3 2: 416). */
export type OtherUri = {
  /** Lower-case, and neither of the above. */
  readonly scheme: string;
  /** The whole URI. */
  readonly text: string;
};

export type Uri = SipUri | TelUri | OtherUri;

export function isSipUri(uri: Uri): uri is SipUri {
  return "host" in uri;
}

export function isTelUri(uri: Uri): uri is TelUri {
  return "number" in uri;
}

/** Reads a URI. Errors: 400 where it is malformed, 414 where it is longer than a start line may be. */
export function parseUri(text: string): Uri | ParseError {
  if (text.length > startLineOctetsMax) return parseError("uri-max", 414, "URI Too Long", startLineOctetsMax);
  const colon = text.indexOf(":");
  if (colon <= 0 || !isOf(codeAt(text, 0), ALPHA)) return parseError("uri-scheme", 400, "Malformed URI Scheme");
  for (let i = 1; i < colon; i++) {
    const code = codeAt(text, i);
    if (!isOf(code, ALPHA | DIGIT) && code !== 0x2b && code !== 0x2d && code !== 0x2e) {
      return parseError("uri-scheme", 400, "Malformed URI Scheme", i);
    }
  }
  const scheme = text.slice(0, colon).toLowerCase();
  if (scheme === "sip" || scheme === "sips") return parseSipUri(text, colon + 1, scheme);
  if (scheme === "tel") return parseTelUri(text, colon + 1);
  return parseOtherUri(text, colon + 1, scheme);
}

function parseSipUri(text: string, start: number, scheme: "sip" | "sips"): SipUri | ParseError {
  let user: string | undefined;
  let password: string | undefined;
  let at = start;
  const atSign = text.indexOf("@", start);
  if (atSign >= 0) {
    let userEnd = text.indexOf(":", start);
    if (userEnd < 0 || userEnd > atSign) userEnd = atSign;
    if (userEnd === start) return parseError("uri-user", 400, "Empty User in URI", start);
    const bad = firstNotOf(text, start, userEnd, USER);
    if (bad >= 0) return parseError("uri-user", 400, "Malformed User in URI", bad);
    user = text.slice(start, userEnd);
    if (userEnd < atSign) {
      const badPassword = firstNotOf(text, userEnd + 1, atSign, USER);
      if (badPassword >= 0) return parseError("uri-password", 400, "Malformed Password in URI", badPassword);
      password = text.slice(userEnd + 1, atSign);
    }
    at = atSign + 1;
  }
  const hostPort = parseHostPort(text, at, false);
  if (isParseError(hostPort)) return hostPort;
  const question = text.indexOf("?", hostPort.end);
  const paramsEnd = question < 0 ? text.length : question;
  const params = parseUriParams(text, hostPort.end, paramsEnd);
  if (isParseError(params)) return params;
  let headers = "";
  if (question >= 0) {
    const bad = firstNotOf(text, question + 1, text.length, URI_HEADER);
    if (bad >= 0 || question + 1 === text.length) return parseError("uri-headers", 400, "Malformed Headers in URI", question);
    headers = text.slice(question + 1);
  }
  return { scheme, user, password, host: hostPort.host, port: hostPort.port, params, headers };
}

function parseTelUri(text: string, start: number): TelUri | ParseError {
  let end = start;
  let digits = 0;
  for (; end < text.length; end++) {
    const code = codeAt(text, end);
    if (code === 0x3b) break;
    // RFC 3966: hex digits, `*` and `#` in local numbers, and the visual separators.
    const character = text.charAt(end);
    if (/[0-9a-fA-F*#]/.test(character)) digits++;
    else if (!(character === "+" && end === start) && !"-.()".includes(character)) {
      return parseError("tel-number", 400, "Malformed Telephone Number", end);
    }
  }
  if (digits === 0) return parseError("tel-number", 400, "Malformed Telephone Number", start);
  const params = parseUriParams(text, end, text.length);
  if (isParseError(params)) return params;
  return { scheme: "tel", number: text.slice(start, end), params };
}

function parseOtherUri(text: string, start: number, scheme: string): OtherUri | ParseError {
  if (start === text.length) return parseError("uri", 400, "Empty URI", start);
  for (let i = start; i < text.length; i++) {
    const code = codeAt(text, i);
    if (code <= 0x20 || code === 0x7f || code === 0x22 || code === 0x3c || code === 0x3e) {
      return parseError("uri", 400, "Malformed URI", i);
    }
  }
  return { scheme, text };
}

/** `*( ";" pname [ "=" pvalue ] )`; a name must not stand twice (RFC 3261 19.1.1). */
function parseUriParams(text: string, start: number, end: number): Params | ParseError {
  if (start === end) return noParams;
  const pairs: string[] = [];
  let i = start;
  while (i < end) {
    if (codeAt(text, i) !== 0x3b) return parseError("uri-params", 400, "Malformed Parameters in URI", i);
    const nameStart = i + 1;
    i = endOf(text, nameStart, end, URI_PARAM);
    if (i === nameStart) return parseError("uri-params", 400, "Malformed Parameters in URI", i);
    const name = withoutNeedlessEscapes(text.slice(nameStart, i)).toLowerCase();
    let value = "";
    if (codeAt(text, i) === 0x3d && i < end) {
      const valueStart = i + 1;
      i = endOf(text, valueStart, end, URI_PARAM);
      value = withoutNeedlessEscapes(text.slice(valueStart, i));
    }
    if (indexOfName(pairs, name) >= 0) return parseError("duplicate-param", 400, "Repeated Parameter in URI", nameStart);
    if (pairs.length === listValuesMax * 2) return parseError("params-max", 400, "Too Many Parameters in URI", nameStart);
    pairs.push(name, value);
  }
  return new Params(pairs);
}

/** Offset of the first char that is neither of the class nor a whole escape. */
function endOf(text: string, start: number, end: number, characterClass: number): number {
  let i = start;
  while (i < end) {
    if (isOf(codeAt(text, i), characterClass)) i++;
    else if (isEscapeAt(text, i, end)) i += 3;
    else break;
  }
  return i;
}

function firstNotOf(text: string, start: number, end: number, characterClass: number): number {
  const stop = endOf(text, start, end, characterClass);
  return stop === end ? -1 : stop;
}

function isEscapeAt(text: string, i: number, end: number): boolean {
  return codeAt(text, i) === 0x25 && i + 2 < end && hexOf(codeAt(text, i + 1)) >= 0 && hexOf(codeAt(text, i + 2)) >= 0;
}

function hexOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** The URI as text. */
export function serializeUri(uri: Uri): string {
  if (isSipUri(uri)) {
    const password = uri.password === undefined ? "" : `:${uri.password}`;
    const userInfo = uri.user === undefined ? "" : `${uri.user}${password}@`;
    const port = uri.port === undefined ? "" : `:${uri.port}`;
    const headers = uri.headers === "" ? "" : `?${uri.headers}`;
    return `${uri.scheme}:${userInfo}${uri.host}${port}${uri.params.serialize()}${headers}`;
  }
  if (isTelUri(uri)) return `tel:${uri.number}${uri.params.serialize()}`;
  return uri.text;
}

/** `%41` becomes `A`: one char an octet. What is not a whole escape stays. */
export function unescapeUri(text: string): string {
  if (!text.includes("%")) return text;
  let plain = "";
  for (let i = 0; i < text.length; i++) {
    if (isEscapeAt(text, i, text.length)) {
      plain += String.fromCharCode(hexOf(codeAt(text, i + 1)) * 16 + hexOf(codeAt(text, i + 2)));
      i += 2;
    } else plain += text.charAt(i);
  }
  return plain;
}

/** A user name as it may stand before the `@`; chars above 255 become UTF-8 first. */
export function escapeUser(text: string): string {
  let escaped = "";
  for (const octet of octetsOf(text)) {
    // What is read leniently is written strictly.
    escaped +=
      isOf(octet, USER) && !isOf(octet, BARE) ? String.fromCharCode(octet) : `%${octet.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escaped;
}

/** Parameters that must stand in both URIs or in neither (RFC 3261 19.1.4; transport by its examples). */
const significantParams: readonly string[] = ["transport", "user", "ttl", "method", "maddr"];

/** Equality of RFC 3261 19.1.4 for SIP and SIPS, of RFC 3966 5 for tel. Other schemes are equal as text, their scheme in any case. */
export function equalUris(a: Uri, b: Uri): boolean {
  if (isSipUri(a)) return isSipUri(b) && equalSipUris(a, b);
  if (isTelUri(a)) return isTelUri(b) && equalTelUris(a, b);
  if (isSipUri(b) || isTelUri(b)) return false;
  return a.scheme === b.scheme && a.text.slice(a.scheme.length) === b.text.slice(b.scheme.length);
}

function equalSipUris(a: SipUri, b: SipUri): boolean {
  if (a.scheme !== b.scheme || a.port !== b.port || !equalHosts(a.host, b.host)) return false;
  if (!equalEscaped(a.user, b.user) || !equalEscaped(a.password, b.password)) return false;
  for (const name of significantParams) if (a.params.has(name) !== b.params.has(name)) return false;
  for (const [name, value] of a.params.entries()) {
    const other = b.params.get(name);
    if (other !== undefined && value.toLowerCase() !== other.toLowerCase()) return false;
  }
  return a.headers === b.headers || equalUriHeaders(a.headers, b.headers);
}

/** RFC 5954 4.2: IPv6 addresses are equal as addresses, whatever their spelling. */
function equalHosts(a: string, b: string): boolean {
  if (a === b) return true;
  if (!a.startsWith("[") || !b.startsWith("[")) return false;
  return parseIpv6(a.slice(1, -1))?.join() === parseIpv6(b.slice(1, -1))?.join();
}

function equalEscaped(a: string | undefined, b: string | undefined): boolean {
  if (a === b) return true;
  return a !== undefined && b !== undefined && withoutNeedlessEscapes(a) === withoutNeedlessEscapes(b);
}

/**
 * RFC 3261 19.1.4, RFC 3986 6.2.2.2: unreserved characters are equal to their escapes, and no meaning is lost by unescaping them; once,
 * never again. `%3B` is not `;`.
 */
function withoutNeedlessEscapes(text: string): string {
  if (!text.includes("%")) return text;
  return text.replace(/%([0-9a-fA-F]{2})/g, (escape, digits: string) => {
    const code = Number.parseInt(digits, 16);
    return isOf(code, UNRESERVED) ? String.fromCharCode(code) : escape.toUpperCase();
  });
}

/** The headers of a URI are never ignored; their order does not matter, and like all header values they are case-insensitive. */
function equalUriHeaders(a: string, b: string): boolean {
  return canonicalHeaders(a) === canonicalHeaders(b);
}

function canonicalHeaders(headers: string): string {
  return headers
    .split("&")
    .map((header) => withoutNeedlessEscapes(header).toLowerCase())
    .toSorted()
    .join("&");
}

/** RFC 3966 5: separators do not count, parameters do, in any order. */
function equalTelUris(a: TelUri, b: TelUri): boolean {
  if (digitsOf(a.number) !== digitsOf(b.number) || a.params.size !== b.params.size) return false;
  return a.params.entries().every(([name, value]) => {
    const other = b.params.get(name);
    if (other === undefined) return false;
    if (name === "ext" || name === "phone-context") return digitsOf(value) === digitsOf(other);
    return value.toLowerCase() === other.toLowerCase();
  });
}

function digitsOf(number: string): string {
  return number.replace(/[-.()]/g, "").toLowerCase();
}
