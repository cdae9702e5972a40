import { HOST, characterClasses } from "./characters.ts";

/**
 * Hosts and ports read where they stand, of the plain form: a lower-case name or an IPv4 address, without white space. Anything else is
 * for `parseHostPort`.
 */

/** Offset behind the host that begins at `at`; -1 when it is not plain, or malformed. */
export function endOfPlainHost(octets: Uint8Array, at: number, end: number): number {
  let i = at;
  let labelStart = at;
  let onlyDigits = true;
  for (; i < end; i++) {
    const octet = octets[i] ?? 0;
    if (((characterClasses[octet] ?? 0) & HOST) === 0) break;
    if (octet === 0x2e) {
      if (i === labelStart) return -1;
      labelStart = i + 1;
      onlyDigits = true;
    } else if (octet < 0x30 || octet > 0x39) {
      if (octet >= 0x41 && octet <= 0x5a) return -1;
      onlyDigits = false;
    }
  }
  // A final dot is left to the parser of text, too.
  if (i === labelStart || i - at > 255) return -1;
  return onlyDigits && !isIpv4At(octets, at, i) ? -1 : i;
}

/** The port between two offsets; -1 when it is malformed, or has leading zeros enough to be longer than any. */
export function plainPort(octets: Uint8Array, start: number, end: number): number {
  if (end <= start || end - start > 5) return -1;
  let port = 0;
  for (let i = start; i < end; i++) {
    const digit = (octets[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    port = port * 10 + digit;
  }
  return port > 65_535 ? -1 : port;
}

/** True for a dotted IPv4 address between two offsets: as `isIpv4` of a text. */
export function isIpv4At(octets: Uint8Array, start: number, end: number): boolean {
  let parts = 0;
  let value = 0;
  let digits = 0;
  for (let i = start; i <= end; i++) {
    // The end is taken like a dot.
    const digit = (i < end ? (octets[i] ?? 0) : 0x2e) - 0x30;
    if (digit >= 0 && digit <= 9) {
      value = value * 10 + digit;
      if (++digits > 3) return false;
      continue;
    }
    if (digit !== 0x2e - 0x30 || digits === 0 || value > 255) return false;
    parts++;
    value = 0;
    digits = 0;
  }
  return parts === 4;
}
