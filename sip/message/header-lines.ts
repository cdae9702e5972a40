import { CR, HTAB, LF, SP } from "./characters.ts";
import { stringOf } from "./octets.ts";

/**
 * The header lines of one message as offsets, three numbers a line: header id (with {@link FOLDED}), offset of the name, offset of the
 * value. The last entry is a sentinel whose offset is the empty line's, so that every line ends where the next begins.
 * Plain numbers and not objects: a message has a dozen lines, and most are never looked at.
 */
export type HeaderLines = readonly number[];

/** Set in a line's id when its value goes on over continuation lines. */
export const FOLDED = 0x100;
export const STRIDE = 3;

export function lineCount(lines: HeaderLines): number {
  return lines.length / STRIDE - 1;
}

export function lineId(lines: HeaderLines, line: number): number {
  return (lines[line * STRIDE] ?? 0) & 0xff;
}

export function isFolded(lines: HeaderLines, line: number): boolean {
  return ((lines[line * STRIDE] ?? 0) & FOLDED) !== 0;
}

/** Offset of the name's first octet. */
export function lineStart(lines: HeaderLines, line: number): number {
  return lines[line * STRIDE + 1] ?? 0;
}

/** Offset behind the line, its CRLF included. */
export function lineEnd(lines: HeaderLines, line: number): number {
  return lines[line * STRIDE + 4] ?? 0;
}

/** Offset of the value's first octet that is no white space; that of the CRLF when the value is empty. */
export function valueStart(lines: HeaderLines, line: number): number {
  return lines[line * STRIDE + 2] ?? 0;
}

/** Offset behind the value's last octet that is no white space. */
export function valueEnd(octets: Uint8Array, lines: HeaderLines, line: number): number {
  return trimmedEnd(octets, valueStart(lines, line), lineEnd(lines, line) - 2);
}

export function isSpace(octet: number | undefined): boolean {
  return octet === SP || octet === HTAB || octet === CR || octet === LF;
}

/** The offset, not before `start`, behind the last octet before `end` that is no white space. */
export function trimmedEnd(octets: Uint8Array, start: number, end: number): number {
  let i = end;
  while (i > start && isSpace(octets[i - 1])) i--;
  return i;
}

/** The next offset that is no white space, at most `end`. */
export function trimmedStart(octets: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && isSpace(octets[i])) i++;
  return i;
}

/**
 * Offset of the comma that ends the list value at `start`, or `end` (RFC 3261 7.3.1). Commas in quoted strings and between `<` and `>` do
 * not count. A quote or bracket that never closes takes all that follows: the value is malformed then, and reading it will say so.
 */
export function endOfValue(octets: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end) {
    const octet = octets[i] ?? 0;
    // Letters, the most of any value, are above all that counts here.
    if (octet > 0x3c) {
      i++;
      continue;
    }
    if (octet === 0x2c) return i;
    if (octet === 0x22) {
      i++;
      while (i < end && octets[i] !== 0x22) i += octets[i] === 0x5c ? 2 : 1;
    } else if (octet === 0x3c) {
      while (i < end && octets[i] !== 0x3e) i++;
    }
    i++;
  }
  return end;
}

/** The octets as text; each fold with the white space around it is one space (RFC 3261 25.1 LWS). */
export function unfolded(octets: Uint8Array, start: number, end: number): string {
  let text = "";
  let from = start;
  for (let i = start; i < end; i++) {
    if (octets[i] !== CR) continue;
    text += `${stringOf(octets, from, trimmedEnd(octets, from, i))} `;
    i = trimmedStart(octets, i, end);
    from = i;
  }
  return text + stringOf(octets, from, end);
}
