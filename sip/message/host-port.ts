import { parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { HOST, codeAt, decimalOf, isOf, skipSpace } from "./characters.ts";
import { canonicalHost, isIpv4, isIpv6Reference } from "./ip-address.ts";

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
  if (codeAt(text, at) === 0x5b) {
    const close = text.indexOf("]", at);
    if (close < 0 || !isIpv6Reference(text.slice(at, close + 1))) return parseError("host", 400, "Malformed IPv6 Reference", at);
    end = close + 1;
  } else {
    end = endOfHostName(text, at);
    if (end < 0) return parseError("host", 400, "Malformed Host", at);
  }
  const name = text.slice(at, end);
  const host = name.charCodeAt(0) === 0x5b ? canonicalHost(name) : name.toLowerCase();
  const colon = spaced ? skipSpace(text, end) : end;
  if (codeAt(text, colon) !== 0x3a) return { host, port: undefined, end };
  const portStart = spaced ? skipSpace(text, colon + 1) : colon + 1;
  let portEnd = portStart;
  while (codeAt(text, portEnd) >= 0x30 && codeAt(text, portEnd) <= 0x39) portEnd++;
  const port = decimalOf(text, portStart, portEnd);
  if (port < 0 || port > 65_535) return parseError("port", 400, "Malformed Port", portStart);
  return { host, port, end: portEnd };
}

/** Offset behind the host name or IPv4 address at `at`, -1 when there is none. */
function endOfHostName(text: string, at: number): number {
  let i = at;
  let labelStart = at;
  let onlyDigits = true;
  for (; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (!isOf(code, HOST)) break;
    if (code === 0x2e) {
      if (i === labelStart) return -1;
      labelStart = i + 1;
      // A final dot (the root) keeps what the label before it was.
      if (isOf(codeAt(text, i + 1), HOST)) onlyDigits = true;
    } else if (code < 0x30 || code > 0x39) onlyDigits = false;
  }
  if (i === at || i - at > 255) return -1;
  return onlyDigits && !isIpv4(text, at, i) ? -1 : i;
}
