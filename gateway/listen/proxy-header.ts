import { isIP } from "node:net";
import { addressToHex, hexToAddress } from "../../sip/flow/flow.ts";
import { proxyHeaderOctetsMax } from "../limits.ts";

/** Who has connected to a load balancer: an address without brackets, and a port. */
export type ProxiedPlace = { readonly address: string; readonly port: number };

/**
 * What the beginning of a connection is. `header`: `length` octets of it are a PROXY header; `from` is undefined where that names nobody, as in the balancer's own
 * health check. `refused`: it is none, and never will be one.
 */
export type ProxyHeader =
  | { readonly kind: "more" }
  | { readonly kind: "header"; readonly length: number; readonly from: ProxiedPlace | undefined }
  | { readonly kind: "refused"; readonly reason: string };

/** As HAProxy's document has it: what no line of text and no other protocol begins with. */
const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
/** Behind the signature: version and command, family and protocol, two octets of length. */
const fixedOctets = signature.length + 4;
const lineStart = Buffer.from("PROXY ", "latin1");
/** With its CRLF: the longest that version 1 may have. */
const lineOctetsMax = 107;

const more: ProxyHeader = { kind: "more" };

/**
 * Reads a PROXY header, version 1 or 2, from the beginning of a connection (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt). What stands behind
 * the addresses in version 2 (TLVs) is passed over.
 */
export function readProxyHeader(octets: Buffer): ProxyHeader {
  if (octets.length === 0) return more;
  if (octets[0] === signature[0])
    return startsLike(octets, signature) ? readBinary(octets) : refused("it does not begin with a PROXY header");
  return startsLike(octets, lineStart) ? readLine(octets) : refused("it does not begin with a PROXY header");
}

/** As far as there is something. */
function startsLike(octets: Buffer, start: Buffer): boolean {
  const length = Math.min(octets.length, start.length);
  return octets.compare(start, 0, length, 0, length) === 0;
}

/** Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 40000 5060`, CRLF. */
function readLine(octets: Buffer): ProxyHeader {
  const end = octets.subarray(0, lineOctetsMax).indexOf("\r\n", 0, "latin1");
  if (end < 0) return octets.length < lineOctetsMax ? more : refused("its line is too long");
  const line = octets.toString("latin1", 0, end);
  const header = (from: ProxiedPlace | undefined): ProxyHeader => ({ kind: "header", length: end + 2, from });
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return header(undefined);
  const [, family, address = "", local = "", port, localPort] =
    /^PROXY TCP([46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/.exec(line) ?? [];
  const isSound = [address, local].every((each) => isIP(each) === Number(family) && !each.includes("%"));
  if (!isSound || Number(port) > 65_535 || Number(localPort) > 65_535) return refused("its line is malformed");
  return header({ address: addressOfHex(addressToHex(address)), port: Number(port) });
}

/** Version 2. The command is LOCAL or PROXY. */
function readBinary(octets: Buffer): ProxyHeader {
  if (octets.length < fixedOctets) return more;
  const [command, kind] = [octets[signature.length], octets[signature.length + 1]];
  const length = fixedOctets + octets.readUInt16BE(signature.length + 2);
  if (length > proxyHeaderOctetsMax) return refused(`it has ${length} octets, more than ${proxyHeaderOctetsMax}`);
  if (command !== 0x20 && command !== 0x21) return refused("its version or command is unknown");
  const width = widths.get(kind ?? -1);
  if (command === 0x21 && (width === undefined || length - fixedOctets < width)) return refused("its addresses are malformed");
  if (octets.length < length) return more;
  return { kind: "header", length, from: command === 0x21 && width !== 0 ? placeIn(octets, kind === 0x11 ? 4 : 16) : undefined };
}

/** Octets of both addresses and ports, by family and protocol. Those of UNIX sockets and of what has no address name nobody. A datagram comes on no stream. */
const widths: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x21, 36],
  [0x31, 0],
  [0x32, 0],
]);

function placeIn(octets: Buffer, addressOctets: 4 | 16): ProxiedPlace {
  const port = octets.readUInt16BE(fixedOctets + 2 * addressOctets);
  return { address: addressOfHex(octets.toString("hex", fixedOctets, fixedOctets + addressOctets)), port };
}

/** In one spelling. A balancer that listens at IPv4 and IPv6 together writes the former as the latter (RFC 4291 2.5.5.2). */
function addressOfHex(hex: string): string {
  return hexToAddress(hex.startsWith(mappedStart) ? hex.slice(mappedStart.length) : hex);
}

const mappedStart = "00000000000000000000ffff";

function refused(reason: string): ProxyHeader {
  return { kind: "refused", reason };
}
