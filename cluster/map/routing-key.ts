import { CR, HTAB, LF, SP, TOKEN, characterClasses } from "../../sip/message/characters.ts";
import { endOfValue } from "../../sip/message/header-lines.ts";
import { stringOf } from "../../sip/message/octets.ts";
import { noParams } from "../../sip/message/params.ts";
import type { SipUri } from "../../sip/message/uri.ts";
import { branchPrefix, dialogTokenPrefix, oldTokenPrefix, viaMarkName } from "../../sip/flow/token.ts";
import { addressOfRecordOf } from "./address-of-record.ts";
import { claimOf } from "./claim.ts";
import { domainOf, exchangeOf, type ClusterMap } from "./cluster-map.ts";

/** Where a message belongs: the exchange, and the cell that a token prefers (it set the call up). */
export type RoutingKey = { readonly exchange: number; readonly cell?: string };

/**
 * Chooses the exchange for a message by reading only what that needs, without parsing it:
 *
 * - a response: the token in the topmost Via;
 * - a request with our token in its Route, the topmost one, or in the user part of its Request-URI: that token;
 * - REGISTER: the address-of-record in To;
 * - anything else: the address-of-record in the Request-URI when the domain is ours, else the one that From claims.
 *
 * So CANCEL and the ACK for a non-2xx response go where their INVITE went. They carry its Request-URI, Route, To and From (RFC 3261 9.1, 17.1.1.3).
 * Tokens are read and not verified: the exchange does that. Undefined: any exchange will do, as the message is junk or no business of ours; the
 * caller takes one by the flow.
 */
export function routingKeyOf(octets: Uint8Array, start: number, end: number, map: ClusterMap): RoutingKey | undefined {
  let at = start;
  while (at + 1 < end && octets[at] === CR && octets[at + 1] === LF) at += 2;
  const lineEnd = endOfLine(octets, at, end);
  if (startsWith(octets, at, lineEnd, "SIP/")) return ofResponse(octets, lineEnd + 2, end, map);
  return ofRequest(octets, at, lineEnd, end, map);
}

/** Which replica has made or forwarded a request, by the token in its topmost Via: read and not verified. Undefined: none of this map, or it is a response. */
export function forwarderOf(octets: Uint8Array, map: ClusterMap): RoutingKey | undefined {
  const end = octets.length;
  return startsWith(octets, 0, end, "SIP/") ? undefined : ofResponse(octets, endOfLine(octets, 0, end) + 2, end, map);
}

function ofResponse(octets: Uint8Array, headers: number, end: number, map: ClusterMap): RoutingKey | undefined {
  for (let at = headers; at < end && octets[at] !== CR;) {
    const lineEnd = endOfHeader(octets, at, end);
    const value = isVia(octets, at) ? valueOf(octets, at, lineEnd) : -1;
    if (value >= 0) return ofVia(octets, value, endOfValue(octets, value, lineEnd), map);
    at = lineEnd + 2;
  }
  return undefined;
}

/** Our `branch` among the parameters of one Via value names the exchange, the mark beside it the cell. */
function ofVia(octets: Uint8Array, start: number, end: number, map: ClusterMap): RoutingKey | undefined {
  let exchange: number | undefined;
  let at = start;
  while (at < end) {
    const octet = octets[at];
    if (octet === 0x22) {
      at += 1;
      while (at < end && octets[at] !== 0x22) at += octets[at] === 0x5c ? 2 : 1;
    } else if (octet === 0x3b) {
      const name = skipSpace(octets, at + 1, end);
      if (exchange === undefined) {
        const value = isName(octets, name, "branch") ? parameterValue(octets, name + 6, end) : -1;
        if (value >= 0) {
          exchange = ofBranch(octets, value, end, map);
          if (exchange === undefined) return undefined;
        }
      } else if (isName(octets, name, viaMarkName)) {
        return ofMark(octets, parameterValue(octets, name + viaMarkName.length, end), end, exchange);
      }
    }
    at += 1;
  }
  return exchange === undefined ? undefined : { exchange };
}

/** Offset of a parameter's value, -1 when it has none; `at`: behind its name. */
function parameterValue(octets: Uint8Array, at: number, end: number): number {
  const equals = skipSpace(octets, at, end);
  return octets[equals] === 0x3d ? skipSpace(octets, equals + 1, end) : -1;
}

function ofBranch(octets: Uint8Array, start: number, end: number, map: ClusterMap): number | undefined {
  return startsWith(octets, start, end, branchPrefix) ? exchangeAt(octets, start + branchPrefix.length, end, 0x2e, map) : undefined;
}

function ofMark(octets: Uint8Array, start: number, end: number, exchange: number): RoutingKey {
  const stop = start < 0 ? -1 : endOfCell(octets, start, end);
  return stop <= start || octets[stop] !== 0x2a || stop >= end ? { exchange } : { exchange, cell: stringOf(octets, start, stop) };
}

function ofRequest(octets: Uint8Array, start: number, lineEnd: number, end: number, map: ClusterMap): RoutingKey | undefined {
  let methodEnd = start;
  while (methodEnd < lineEnd && octets[methodEnd] !== SP) methodEnd += 1;
  const uri = methodEnd + 1;
  let uriEnd = uri;
  while (uriEnd < lineEnd && octets[uriEnd] !== SP) uriEnd += 1;
  // Everything but the Route can be decided by the start line and the first From or To; a Route may stand anywhere.
  const isRegister = methodEnd - start === 8 && startsWith(octets, start, lineEnd, "REGISTER");
  let party = -1;
  let partyEnd = -1;
  for (let at = lineEnd + 2; at < end && octets[at] !== CR;) {
    const headerEnd = endOfHeader(octets, at, end);
    const initial = (octets[at] ?? 0) | 0x20;
    if (initial === 0x72) {
      const value = isName(octets, at, "route") ? valueOf(octets, at, headerEnd) : -1;
      if (value >= 0) {
        const key = ofRoutes(octets, value, headerEnd, map);
        if (key === undefined) break;
        if (key !== ours) return key;
      }
    } else if (party < 0 && (isRegister ? isTo(octets, at) : isFrom(octets, at))) {
      party = valueOf(octets, at, headerEnd);
      partyEnd = headerEnd;
    }
    at = headerEnd + 2;
  }
  const token = ofToken(octets, uri, uriEnd, map);
  if (token !== undefined) return token;
  if (!isRegister) {
    const key = ofAddressOfRecord(octets, uri, uriEnd, map);
    if (key !== undefined) return key;
  }
  // A Route without our token may stand before From or To: they are looked for behind it.
  if (party < 0) {
    for (let at = lineEnd + 2; at < end && octets[at] !== CR && party < 0; at = partyEnd + 2) {
      partyEnd = endOfHeader(octets, at, end);
      if (isRegister ? isTo(octets, at) : isFrom(octets, at)) party = valueOf(octets, at, partyEnd);
    }
  }
  return party < 0 ? undefined : ofNameAddr(octets, party, partyEnd, isRegister ? ofAddressOfRecord : ofClaim, map);
}

type UriReader = (octets: Uint8Array, start: number, end: number, map: ClusterMap) => RoutingKey | undefined;

/** The first value is ours without a token: it says nothing, and the next one may. */
const ours: RoutingKey = { exchange: -1 };

/** The first token among the Route values of a line, behind values of ours. Phones put their outbound proxy above the route set of a dialog. */
function ofRoutes(octets: Uint8Array, start: number, end: number, map: ClusterMap): RoutingKey | undefined {
  for (let at = start; at < end; at = skipSpace(octets, at + 1, end)) {
    const valueEnd = endOfValue(octets, at, end);
    const key = ofNameAddr(octets, at, valueEnd, ofRouteUri, map);
    if (key !== ours) return key;
    at = valueEnd;
  }
  return ours;
}

function ofRouteUri(octets: Uint8Array, start: number, end: number, map: ClusterMap): RoutingKey | undefined {
  const token = ofToken(octets, start, end, map);
  const uri = token === undefined ? plainUriOf(octets, start, end) : undefined;
  if (uri === undefined) return token;
  return domainOf(map, uri.host, uri.port) === undefined ? undefined : ours;
}

/** Finds the URI of `[ display-name ] "<" URI ">"` or `URI params`, and reads it. */
function ofNameAddr(octets: Uint8Array, start: number, end: number, read: UriReader, map: ClusterMap): RoutingKey | undefined {
  let at = start;
  while (at < end) {
    const octet = octets[at];
    if (octet === 0x3c) {
      const close = find(octets, 0x3e, at, end);
      return close < 0 ? undefined : read(octets, at + 1, close, map);
    }
    if (octet === 0x22) {
      at += 1;
      while (at < end && octets[at] !== 0x22) at += octets[at] === 0x5c ? 2 : 1;
    } else if (octet === 0x3a) break;
    at += 1;
  }
  // No bracket before the first colon: a bare URI, whose parameters belong to the header (RFC 3261 20).
  let stop = at;
  while (stop < end && octets[stop] !== 0x3b && !isSpace(octets[stop])) stop += 1;
  return read(octets, start, stop, map);
}

/** Our token as the user part of a URI. */
function ofToken(octets: Uint8Array, start: number, end: number, map: ClusterMap): RoutingKey | undefined {
  const user = behindScheme(octets, start, end);
  if (user < 0) return undefined;
  if (!startsWith(octets, user, end, dialogTokenPrefix) && !startsWith(octets, user, end, oldTokenPrefix)) return undefined;
  return ofParts(octets, user + dialogTokenPrefix.length, end, 0x2a, map);
}

/** The address-of-record that a SIP URI names, when its domain is ours. */
function ofAddressOfRecord(octets: Uint8Array, start: number, end: number, map: ClusterMap): RoutingKey | undefined {
  const uri = plainUriOf(octets, start, end);
  const addressOfRecord = uri === undefined ? undefined : addressOfRecordOf(map, uri);
  return addressOfRecord === undefined ? undefined : { exchange: exchangeOf(map, addressOfRecord) };
}

/** The one that a SIP URI in a From claims. */
function ofClaim(octets: Uint8Array, start: number, end: number, map: ClusterMap): RoutingKey | undefined {
  const uri = plainUriOf(octets, start, end);
  const addressOfRecord = uri === undefined ? undefined : claimOf(map, uri).addressOfRecord;
  return addressOfRecord === undefined ? undefined : { exchange: exchangeOf(map, addressOfRecord) };
}

/** User, host and port of a SIP URI, nothing else of it. */
function plainUriOf(octets: Uint8Array, start: number, end: number): SipUri | undefined {
  let at = behindScheme(octets, start, end);
  if (at < 0) return undefined;
  let user: string | undefined;
  const atSign = find(octets, 0x40, at, end);
  if (atSign >= 0) {
    const colon = find(octets, 0x3a, at, atSign);
    user = stringOf(octets, at, colon >= 0 ? colon : atSign);
    at = atSign + 1;
  }
  let stop = at;
  if (octets[at] === 0x5b) while (stop < end && octets[stop] !== 0x5d) stop += 1;
  while (stop < end && octets[stop] !== 0x3a && octets[stop] !== 0x3b && octets[stop] !== 0x3f) stop += 1;
  if (stop === at) return undefined;
  const host = stringOf(octets, at, stop);
  const port = octets[stop] === 0x3a && stop < end ? portAt(octets, stop + 1, end) : undefined;
  return { scheme: "sip", user, password: undefined, host, port, params: noParams, headers: "" };
}

/** `<exchange><separator><cell><separator>`, as a dialog's token begins; the rest is for the exchange to read and verify. */
function ofParts(octets: Uint8Array, start: number, end: number, separator: number, map: ClusterMap): RoutingKey | undefined {
  const exchange = exchangeAt(octets, start, end, separator, map);
  if (exchange === undefined) return undefined;
  const cell = find(octets, separator, start, end) + 1;
  const stop = endOfCell(octets, cell, end);
  return stop === cell || stop >= end || octets[stop] !== separator ? undefined : { exchange, cell: stringOf(octets, cell, stop) };
}

/**
 * An exchange in base 36 with the separator behind it. It counts when this map has it: another number is forged, or from before the cluster
 * was made anew.
 */
function exchangeAt(octets: Uint8Array, start: number, end: number, separator: number, map: ClusterMap): number | undefined {
  let at = start;
  let exchange = 0;
  for (; at < end && octets[at] !== separator; at += 1) {
    const digit = base36Of(octets[at] ?? 0);
    if (digit < 0 || at - start === 4) return undefined;
    exchange = exchange * 36 + digit;
  }
  return at === start || at >= end || exchange >= map.exchangeCount ? undefined : exchange;
}

function endOfCell(octets: Uint8Array, start: number, end: number): number {
  let stop = start;
  while (stop < end && base36Of(octets[stop] ?? 0) >= 0) stop += 1;
  return stop;
}

function base36Of(octet: number): number {
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  return octet >= 0x61 && octet <= 0x7a ? octet - 0x57 : -1;
}

/** Offset of an octet, or -1. Not `indexOf`: a Buffer's calls out of JavaScript, which costs more than a URI is long. */
function find(octets: Uint8Array, octet: number, start: number, end: number): number {
  for (let at = start; at < end; at += 1) if (octets[at] === octet) return at;
  return -1;
}

/** Offset behind `sip:` or `sips:`, -1 for any other scheme. */
function behindScheme(octets: Uint8Array, start: number, end: number): number {
  if (!isLetters(octets, start, "sip")) return -1;
  let at = start + 3;
  if (((octets[at] ?? 0) | 0x20) === 0x73) at += 1;
  return octets[at] === 0x3a && at < end ? at + 1 : -1;
}

function portAt(octets: Uint8Array, start: number, end: number): number {
  let port = 0;
  for (let at = start; at < end && port < 65_536; at += 1) {
    const digit = (octets[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) break;
    port = port * 10 + digit;
  }
  return port;
}

/** Offset of the CRLF that ends the line, or `end`. */
function endOfLine(octets: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && (octets[at] !== CR || octets[at + 1] !== LF)) at += 1;
  return at;
}

/** Offset of the CRLF that ends a header with its continuation lines, or `end`. */
function endOfHeader(octets: Uint8Array, start: number, end: number): number {
  let at = endOfLine(octets, start, end);
  while (at < end && (octets[at + 2] === SP || octets[at + 2] === HTAB)) at = endOfLine(octets, at + 2, end);
  return at;
}

/** Offset of a header's value, white space skipped; -1 when no colon follows its name. */
function valueOf(octets: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && (classesOf(octets[at]) & TOKEN) !== 0) at += 1;
  while (at < end && (octets[at] === SP || octets[at] === HTAB)) at += 1;
  return octets[at] === 0x3a && at < end ? skipSpace(octets, at + 1, end) : -1;
}

function isVia(octets: Uint8Array, at: number): boolean {
  const initial = (octets[at] ?? 0) | 0x20;
  return initial === 0x76 && (isName(octets, at, "via") || isName(octets, at, "v"));
}

function isFrom(octets: Uint8Array, at: number): boolean {
  const initial = (octets[at] ?? 0) | 0x20;
  return initial === 0x66 && (isName(octets, at, "from") || isName(octets, at, "f"));
}

function isTo(octets: Uint8Array, at: number): boolean {
  const initial = (octets[at] ?? 0) | 0x20;
  return initial === 0x74 && (isName(octets, at, "to") || isName(octets, at, "t"));
}

/** A whole token equals a lower-case name, in any case. */
function isName(octets: Uint8Array, at: number, name: string): boolean {
  return isLetters(octets, at, name) && (classesOf(octets[at + name.length]) & TOKEN) === 0;
}

function isLetters(octets: Uint8Array, at: number, letters: string): boolean {
  for (let i = 0; i < letters.length; i += 1) {
    if (((octets[at + i] ?? 0) | 0x20) !== letters.charCodeAt(i)) return false;
  }
  return true;
}

function startsWith(octets: Uint8Array, at: number, end: number, text: string): boolean {
  if (at + text.length > end) return false;
  for (let i = 0; i < text.length; i += 1) if (octets[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

function skipSpace(octets: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && isSpace(octets[at])) at += 1;
  return at;
}

function isSpace(octet: number | undefined): boolean {
  return octet === SP || octet === HTAB || octet === CR || octet === LF;
}

function classesOf(octet: number | undefined): number {
  return octet === undefined ? 0 : (characterClasses[octet] ?? 0);
}
