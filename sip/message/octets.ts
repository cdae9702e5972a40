/**
 * Octets and text. In every string of the core one octet is one char (ISO 8859-1). So offsets in a string are offsets in the octets, and whatever was
 * received leaves unchanged. Text typed by people (chars above 255) becomes UTF-8 on the way out.
 */

/** The longest text that {@link shortText} makes; longer ones are put together of such. */
const SHORT = 32;
/** From this length on texts are put together of such: see {@link blockText}. */
const BLOCK = 128;

/**
 * The octets from `start` to `end` as text, one char an octet.
 * Not `String.fromCharCode(...subarray)`, ten times as slow; nor a sum of chars: that is a rope, and reading it char by char is slow.
 */
export function stringOf(octets: Uint8Array, start = 0, end: number = octets.length): string {
  const last = end > octets.length ? octets.length : end;
  const length = last - start;
  if (length <= SHORT) return length <= 0 ? "" : shortText(octets, start, length);
  if (length < BLOCK) return shortText(octets, start, SHORT) + stringOf(octets, start + SHORT, last);
  let text = "";
  let at = start;
  for (; last - at >= BLOCK; at += BLOCK) text += blockText(octets, at);
  return text + stringOf(octets, at, last);
}

/** Codes of a block: one list for all, because a list for each text would be four times its size in garbage. */
const codes: number[] = Array.from({ length: BLOCK }, () => 0);

/** {@link BLOCK} octets as text. */
function blockText(octets: Uint8Array, start: number): string {
  for (let i = 0; i < BLOCK; i++) codes[i] = octets[start + i] ?? 0;
  return String.fromCharCode.apply(null, codes);
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an octet within the array is never undefined
const f = String.fromCharCode as (...codes: readonly (number | undefined)[]) => string;

/** 1 to {@link SHORT} octets as text: as plain arguments, without an array to hold them, in little more than half the time. */
// oxfmt-ignore
function shortText(o: Uint8Array, s: number, length: number): string {
  switch (length) {
    case 1: return f(o[s]);
    case 2: return f(o[s], o[s + 1]);
    case 3: return f(o[s], o[s + 1], o[s + 2]);
    case 4: return f(o[s], o[s + 1], o[s + 2], o[s + 3]);
    case 5: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4]);
    case 6: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5]);
    case 7: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6]);
    case 8: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7]);
    case 9: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8]);
    case 10: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9]);
    case 11: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10]);
    case 12: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11]);
    case 13: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12]);
    case 14: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13]);
    case 15: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14]);
    case 16: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15]);
    case 17: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16]);
    case 18: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17]);
    case 19: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18]);
    case 20: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19]);
    case 21: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20]);
    case 22: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20], o[s + 21]);
    case 23: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20], o[s + 21], o[s + 22]);
    case 24: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20], o[s + 21], o[s + 22], o[s + 23]);
    case 25: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20], o[s + 21], o[s + 22], o[s + 23], o[s + 24]);
    case 26: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20], o[s + 21], o[s + 22], o[s + 23], o[s + 24], o[s + 25]);
    case 27: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20], o[s + 21], o[s + 22], o[s + 23], o[s + 24], o[s + 25], o[s + 26]);
    case 28: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20], o[s + 21], o[s + 22], o[s + 23], o[s + 24], o[s + 25], o[s + 26], o[s + 27]);
    case 29: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20], o[s + 21], o[s + 22], o[s + 23], o[s + 24], o[s + 25], o[s + 26], o[s + 27], o[s + 28]);
    case 30: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20], o[s + 21], o[s + 22], o[s + 23], o[s + 24], o[s + 25], o[s + 26], o[s + 27], o[s + 28], o[s + 29]);
    case 31: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20], o[s + 21], o[s + 22], o[s + 23], o[s + 24], o[s + 25], o[s + 26], o[s + 27], o[s + 28], o[s + 29], o[s + 30]);
    case 32: return f(o[s], o[s + 1], o[s + 2], o[s + 3], o[s + 4], o[s + 5], o[s + 6], o[s + 7], o[s + 8], o[s + 9], o[s + 10], o[s + 11], o[s + 12], o[s + 13], o[s + 14], o[s + 15], o[s + 16], o[s + 17], o[s + 18], o[s + 19], o[s + 20], o[s + 21], o[s + 22], o[s + 23], o[s + 24], o[s + 25], o[s + 26], o[s + 27], o[s + 28], o[s + 29], o[s + 30], o[s + 31]);
    default: return "";
  }
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
