import { SP, TOKEN, characterClasses } from "./characters.ts";
import { methodOf } from "./methods.ts";
import type { CSeq } from "./sip-message.ts";

/** More digits than any number has that is below the limits; a longer one is for `decimalOf`. */
const DIGITS_MAX = 15;

/** The number between two offsets, all digits; -1 is any other, for `decimalOf` to decide about. */
export function plainNumberAt(octets: Uint8Array, start: number, end: number): number {
  if (end <= start || end - start > DIGITS_MAX) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = (octets[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** A CSeq where it stands, with one space in it; undefined is any other, malformed ones among them. For a known method no string is made. */
export function plainCSeqAt(octets: Uint8Array, start: number, end: number): CSeq | undefined {
  let i = start;
  while (i < end && octets[i] !== SP) i++;
  const number = plainNumberAt(octets, start, i);
  const methodStart = i + 1;
  if (number < 0 || methodStart >= end) return undefined;
  for (i = methodStart; i < end; i++) if (((characterClasses[octets[i] ?? 0] ?? 0) & TOKEN) === 0) return undefined;
  return { number, method: methodOf(octets, methodStart, end) };
}
