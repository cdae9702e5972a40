import { startLineOctetsMax } from "../limits.ts";
import { USER, characterClasses } from "./characters.ts";
import { endOfPlainHost, plainPort } from "./plain-host.ts";
import { readPlainUriParams } from "./plain-params.ts";

/**
 * True for a SIP or SIPS URI that is well-formed beyond doubt: without password, escapes, headers and white space. False says nothing:
 * `parseUri` decides about the others.
 */
export function isPlainSipUriAt(octets: Uint8Array, start: number, end: number): boolean {
  if (end - start > startLineOctetsMax) return false;
  // "sip:" or "sips:" in lower case
  if (octets[start] !== 0x73 || octets[start + 1] !== 0x69 || octets[start + 2] !== 0x70) return false;
  let i = start + 3;
  if (octets[i] === 0x73) i++;
  if (i >= end || octets[i] !== 0x3a) return false;
  const userStart = ++i;
  while (i < end && ((characterClasses[octets[i] ?? 0] ?? 0) & USER) !== 0) i++;
  const hasUser = i < end && octets[i] === 0x40;
  if (hasUser && i === userStart) return false;
  // An `@` farther on is neither of a host nor of parameters.
  i = endOfPlainHost(octets, hasUser ? i + 1 : userStart, end);
  if (i < 0) return false;
  if (i < end && octets[i] === 0x3a) {
    const portStart = ++i;
    while (i < end && (octets[i] ?? 0) >= 0x30 && (octets[i] ?? 0) <= 0x39) i++;
    if (plainPort(octets, portStart, i) < 0) return false;
  }
  return readPlainUriParams(octets, i, end) >= 0;
}
