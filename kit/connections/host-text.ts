import { isIPv6 } from "node:net";

/** An address as a URI has it. */
export function hostText(address: string): string {
  return isIPv6(address) ? `[${address}]` : address;
}
