import { addressToHex, hexToAddress } from "./flow.ts";

/** The first 64 bits of an IPv6 address, in hex, name a network. Whoever has one has all addresses in it (RFC 6177). */
const networkDigits = 16;
const addressDigits = 32;
const mappedStart = "00000000000000000000ffff";
const portDigits = 4;

/** What limits for each source count by: an IPv4 address, or the first 64 bits of an IPv6 one, as hex. */
export function sourceOfAddress(address: string): string {
  return sourceOfHex(addressToHex(address));
}

/** The sources in a network: an address, or one with its bits, see `networkIn`. */
export function sourcesOfNetwork(text: string): string[] {
  const [address = "", bits] = text.split("/");
  const source = sourceOfAddress(address);
  const free = BigInt(bits === undefined ? 0 : Math.max(0, 4 * source.length - Number(bits)));
  const first = (BigInt(`0x${source}`) >> free) << free;
  return Array.from({ length: 2 ** Number(free) }, (_, n) => (first + BigInt(n)).toString(16).padStart(source.length, "0"));
}

/** A source as people write it: an IPv4 address, or the network of IPv6. */
export function networkOfSource(source: string): string {
  if (source.length === networkDigits) return `${hexToAddress(source.padEnd(addressDigits, "0"))}/64`;
  return /^[\da-f]{8}$/.test(source) ? hexToAddress(source) : source;
}

/** What {@link sourceOfAddress} says of the far end of a flow; a text that is no flow is a source of its own. */
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
