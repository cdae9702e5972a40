/**
 * Character classes of RFC 3261 section 25.1 as one table of bits, indexed by octet.
 */

export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const HTAB = 0x09;
export const DEL = 0x7f;

/** RFC 3261 `token`. */
export const TOKEN = 1;
export const DIGIT = 2;
export const ALPHA = 4;
/**
 * RFC 3261 `user` without `%`, and what {@link BARE} adds.
 */
export const USER = 8;
/** RFC 3261 `paramchar` of a URI without `%`. */
export const URI_PARAM = 16;
/** The `headers` part of a URI without `%`. */
export const URI_HEADER = 32;
/** Host names. `_` is let through: container networks are full of it. */
export const HOST = 64;
/**
 * An unquoted value of a header parameter: `token / host` of RFC 3261, and what implementations really send there. That is base64 with `=`, paths,
 * and URIs without the characters that could end the value.
 */
export const PARAM_VALUE = 128;

/** RFC 3261 `unreserved`: what never needs an escape in a URI. */
export const UNRESERVED = 256;

/**
 * Characters of a user part that are let through though they should be escaped. Dialled feature codes (`*98#`) and names (`jörg`, `a|b`) come raw
 * from many phones, and nothing in a SIP URI is told by them. Not those that end a URI in a header or a line: white space, controls, `"`, `<` and
 * `>`.
 */
export const BARE = 512;

const alpha = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const digit = "0123456789";
const unreserved = `${alpha}${digit}-_.!~*'()`;

const bare = `#[]\\^\`{|}${Array.from({ length: 128 }, (_, i) => String.fromCharCode(0x80 + i)).join("")}`;

/** The classes of an octet, as bits. */
export const characterClasses: Uint16Array = makeClasses();

function makeClasses(): Uint16Array {
  const table = new Uint16Array(256);
  const add = (characters: string, bit: number): void => {
    for (let i = 0; i < characters.length; i++) {
      const code = characters.charCodeAt(i);
      table[code] = (table[code] ?? 0) | bit;
    }
  };
  add(`${alpha}${digit}-.!%*_+\`'~`, TOKEN);
  add(digit, DIGIT);
  add(alpha, ALPHA);
  add(unreserved, UNRESERVED);
  add(`${unreserved}&=+$,;?/`, USER);
  add(bare, USER | BARE);
  add(`${unreserved}[]/:&+$`, URI_PARAM);
  add(`${unreserved}[]/?:+$&=`, URI_HEADER);
  add(`${alpha}${digit}-._`, HOST);
  for (let code = 0x21; code < 0x7f; code++) {
    if (!';,"<>\\'.includes(String.fromCharCode(code))) add(String.fromCharCode(code), PARAM_VALUE);
  }
  for (let code = 0x80; code <= 0xff; code++) add(String.fromCharCode(code), PARAM_VALUE);
  return table;
}

/**
 * The char code at an offset, -1 behind the end. Not a bare `charCodeAt`: its NaN behind the end costs ten times as much, there and,
 * once it has happened, at every other call.
 */
export function codeAt(text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : -1;
}

/** True when the char code belongs to one of the classes. Codes above 255 belong to none, nor does -1, the end of a text. */
export function isOf(code: number, classes: number): boolean {
  return (code & ~0xff) === 0 && ((characterClasses[code] ?? 0) & classes) !== 0;
}

export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (!isOf(text.charCodeAt(i), TOKEN)) return false;
  return text.length > 0;
}

/** Offset of the first char at or after `at` that is neither space nor tab. */
export function skipSpace(text: string, at: number): number {
  let i = at;
  while (i < text.length) {
    const code = text.charCodeAt(i);
    if (code !== SP && code !== HTAB) break;
    i++;
  }
  return i;
}

/** `1*DIGIT` between two offsets; -1 when it is anything else. What exceeds 2^53 saturates there: it is over every limit. */
export function decimalOf(text: string, start: number, end: number): number {
  if (end <= start) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const d = text.charCodeAt(i) - 0x30;
    if (!(d >= 0 && d <= 9)) return -1;
    value = value * 10 + d;
    if (value > Number.MAX_SAFE_INTEGER) value = Number.MAX_SAFE_INTEGER;
  }
  return value;
}
