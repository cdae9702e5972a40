import { isIPv6 } from "node:net";

/** An address as it stands in a URI: IPv6 in brackets (RFC 3261 25.1 IPv6reference). */
export function hostInUri(address: string): string {
  return isIPv6(address) ? `[${address}]` : address;
}

/** True for `0.0.0.0` and `::` in any spelling: all addresses of the machine. */
export function isWildcard(address: string): boolean {
  return address === "0.0.0.0" || /^[0:]*:[0:]*$/.test(address);
}
