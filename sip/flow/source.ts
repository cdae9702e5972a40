import { addressToHex } from "./flow.ts";

/** The first 64 bits of an IPv6 address, in hex, name a network. Whoever has one has all addresses in it (RFC 6177). */
const networkDigits = 16;
const addressDigits = 32;
const mappedStart = "00000000000000000000ffff";
const portDigits = 4;

/** What limits for each source count by: an IPv4 address, or the first 64 bits of an IPv6 one, as hex. */
export function sourceOfAddress(address: string): string {
  return sourceOfHex(addressToHex(address));
}

/** The same for the far end of a flow; a text that is no flow is a source of its own. */
export function sourceOfFlow(flow: string): string {
  const listenerEnd = flow.indexOf(".", flow.indexOf("~") + 1);
  const start = flow.indexOf(".", listenerEnd + 1) + 1;
  if (listenerEnd < 0 || start === 0) return flow;
  const nameStart = flow.indexOf(".", start);
  return sourceOfHex(flow.slice(start, (nameStart < 0 ? flow.length : nameStart) - portDigits));
}

function sourceOfHex(hex: string): string {
  if (hex.length !== addressDigits) return hex;
  return hex.startsWith(mappedStart) ? hex.slice(mappedStart.length) : hex.slice(0, networkDigits);
}
