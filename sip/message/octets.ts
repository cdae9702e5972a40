/**
 * Octets and text. In every string of the core one octet is one char (ISO 8859-1), so that offsets in a string are offsets in the
 * octets and whatever a peer sent leaves unchanged; text typed by people (chars above 255) becomes UTF-8 on the way out.
 */

/** How many octets one call of `String.fromCharCode` is given: they go over the stack. */
const CHUNK = 4096;

/**
 * The octets from `start` to `end` as text, one char an octet.
 * Not `String.fromCharCode(...subarray)`, ten times as slow; nor a sum of chars: that is a rope, and reading it char by char is slow.
 */
export function stringOf(octets: Uint8Array, start = 0, end: number = octets.length): string {
  const last = end > octets.length ? octets.length : end;
  if (last - start > CHUNK) return stringOf(octets, start, start + CHUNK) + stringOf(octets, start + CHUNK, last);
  if (last <= start) return "";
  // oxlint-disable-next-line unicorn/no-new-array -- of its final size at once: pushing costs a third more
  const codes = new Array<number>(last - start);
  for (let i = start; i < last; i++) codes[i - start] = octets[i] ?? 0;
  return String.fromCharCode.apply(null, codes);
}

/** Text as octets: chars up to 255 are one octet each, the others UTF-8. */
export function octetsOf(text: string): Uint8Array {
  const octets = new Uint8Array(octetLengthOf(text));
  writeText(octets, 0, text);
  return octets;
}

/** How many octets {@link writeText} will write for this text. */
export function octetLengthOf(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code <= 0xff) continue;
    if (code < 0x800) length += 1;
    else if (isPairAt(text, i)) {
      length += 2; // two chars become four octets
      i++;
    } else length += 2;
  }
  return length;
}

/** Writes text at an offset and returns the offset behind it. The target must have room: see {@link octetLengthOf}. */
export function writeText(target: Uint8Array, at: number, text: string): number {
  let to = at;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code <= 0xff) target[to++] = code;
    else if (code < 0x800) {
      target[to++] = 0xc0 | (code >> 6);
      target[to++] = 0x80 | (code & 0x3f);
    } else if (isPairAt(text, i)) {
      const point = text.codePointAt(i) ?? 0xfffd;
      i++;
      target[to++] = 0xf0 | (point >> 18);
      target[to++] = 0x80 | ((point >> 12) & 0x3f);
      target[to++] = 0x80 | ((point >> 6) & 0x3f);
      target[to++] = 0x80 | (point & 0x3f);
    } else {
      // A lone surrogate is no character: U+FFFD, as every UTF-8 encoder writes it.
      const point = code >= 0xd800 && code <= 0xdfff ? 0xfffd : code;
      target[to++] = 0xe0 | (point >> 12);
      target[to++] = 0x80 | ((point >> 6) & 0x3f);
      target[to++] = 0x80 | (point & 0x3f);
    }
  }
  return to;
}

function isPairAt(text: string, i: number): boolean {
  const high = text.charCodeAt(i);
  if (high < 0xd800 || high > 0xdbff || i + 1 >= text.length) return false;
  const low = text.charCodeAt(i + 1);
  return low >= 0xdc00 && low <= 0xdfff;
}
