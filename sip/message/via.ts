import { isParseError, parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { TOKEN, codeAt, decimalOf, isOf, skipSpace } from "./characters.ts";
import { parseHostPort } from "./host-port.ts";
import { isIpv4, parseIpv6 } from "./ip-address.ts";
import { parseParams } from "./params.ts";
import type { Params } from "./params.ts";

/** One Via value (RFC 3261 20.42). */
export type Via = {
  /** Upper-case: UDP, TCP, TLS, WS, WSS, or any other token. */
  readonly transport: string;
  /** The sent-by host, lower-case; an IPv6 address in its brackets. */
  readonly host: string;
  readonly port: number | undefined;
  readonly branch: string | undefined;
  /** An address, lower-case. IPv6 is without brackets, though it comes both ways (RFC 5118 4.5). */
  readonly received: string | undefined;
  /** RFC 3581: true when asked for (`;rport`), the port when filled in. */
  readonly rport: number | true | undefined;
  readonly params: Params;
  /** The value as it stands in the message, unfolded. */
  readonly text: string;
};

/** Reads one Via value. White space may stand around the slashes, the colon, `;` and `=` (RFC 3261 25.1). */
export function parseVia(text: string): Via | ParseError {
  let i = endOfToken(text, 0);
  if (i === 0) return parseError("via", 400, "Malformed Via", 0);
  const versionStart = behindSlash(text, i);
  if (versionStart < 0) return parseError("via", 400, "Malformed Via", i);
  const versionEnd = endOfToken(text, versionStart);
  const transportStart = versionEnd === versionStart ? -1 : behindSlash(text, versionEnd);
  if (transportStart < 0) return parseError("via", 400, "Malformed Via", versionEnd);
  const transportEnd = endOfToken(text, transportStart);
  i = skipSpace(text, transportEnd);
  if (transportEnd === transportStart || i === transportEnd) return parseError("via", 400, "Malformed Via", i);
  const hostPort = parseHostPort(text, i, true);
  if (isParseError(hostPort)) return hostPort;
  const params = parseParams(text, hostPort.end);
  if (isParseError(params)) return params;
  const branch = params.get("branch");
  if (branch === "") return parseError("via-branch", 400, "Malformed Branch", i);
  const received = params.get("received");
  const address = received === undefined ? undefined : addressOf(received);
  if (received !== undefined && address === undefined) return parseError("via-received", 400, "Malformed Received", i);
  const rport = rportOf(params);
  if (rport === -1) return parseError("via-rport", 400, "Malformed Rport", i);
  return {
    transport: text.slice(transportStart, transportEnd).toUpperCase(),
    host: hostPort.host,
    port: hostPort.port,
    branch,
    received: address,
    rport,
    params,
    text,
  };
}

function endOfToken(text: string, at: number): number {
  let i = at;
  while (isOf(codeAt(text, i), TOKEN)) i++;
  return i;
}

/** Offset behind `SLASH` with its white space, -1 when there is none. */
function behindSlash(text: string, at: number): number {
  const i = skipSpace(text, at);
  return codeAt(text, i) === 0x2f ? skipSpace(text, i + 1) : -1;
}

function addressOf(received: string): string | undefined {
  if (isIpv4(received)) return received;
  const bare = received.startsWith("[") && received.endsWith("]") ? received.slice(1, -1) : received;
  return parseIpv6(bare) === undefined ? undefined : bare.toLowerCase();
}

function rportOf(params: Params): number | true | undefined {
  const rport = params.get("rport");
  if (rport === undefined) return undefined;
  if (rport === "") return true;
  const port = decimalOf(rport, 0, rport.length);
  return port > 65_535 ? -1 : port;
}
