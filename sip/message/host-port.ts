import { parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { HOST, decimalOf, isOf, skipSpace } from "./characters.ts";
import { canonicalHost, isIpv6Reference, parseIpv4 } from "./ip-address.ts";

/** A host and port as they stand in a URI or a Via; `end` is the offset behind them. */
export type HostPort = {
  /** Lower-case; an IPv6 address in its brackets. */
  readonly host: string;
  readonly port: number | undefined;
  readonly end: number;
};

/**
 * `host [ ":" port ]` from an offset (RFC 3261 25.1). With `spaced`, white space may stand around the colon, as in a Via's sent-by.
 * A name whose last label is all digits must be an IPv4 address; an IPv6 address must stand in brackets (RFC 5118 4.2).
 */
export function parseHostPort(text: string, at: number, spaced: boolean): HostPort | ParseError {
  let end = at;
  if (text.charCodeAt(at) === 0x5b) {
    const close = text.indexOf("]", at);
    if (close < 0 || !isIpv6Reference(text.slice(at, close + 1))) return parseError("host", 400, "Malformed IPv6 Reference", at);
    end = close + 1;
  } else {
    while (isOf(text.charCodeAt(end), HOST)) end++;
    if (!isHostName(text, at, end)) return parseError("host", 400, "Malformed Host", at);
  }
  const host = canonicalHost(text.slice(at, end));
  const colon = spaced ? skipSpace(text, end) : end;
  if (text.charCodeAt(colon) !== 0x3a) return { host, port: undefined, end };
  const portStart = spaced ? skipSpace(text, colon + 1) : colon + 1;
  let portEnd = portStart;
  while (text.charCodeAt(portEnd) >= 0x30 && text.charCodeAt(portEnd) <= 0x39) portEnd++;
  const port = decimalOf(text, portStart, portEnd);
  if (port < 0 || port > 65_535) return parseError("port", 400, "Malformed Port", portStart);
  return { host, port, end: portEnd };
}

function isHostName(text: string, start: number, end: number): boolean {
  if (end === start || end - start > 255) return false;
  let labelStart = start;
  let onlyDigits = true;
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x2e) {
      if (i === labelStart) return false;
      labelStart = i + 1;
      // A final dot (the root) keeps what the label before it was.
      if (i + 1 < end) onlyDigits = true;
    } else if (code < 0x30 || code > 0x39) onlyDigits = false;
  }
  return !onlyDigits || parseIpv4(text.slice(start, end)) !== undefined;
}
