import { base36 } from "../base-36.ts";

/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of 64 bits that nobody can compute or forge without the key of 128 bits, made for
 * short texts. In plain numbers it takes a fraction of the time that it takes to call a platform's HMAC.
 */

/** The key as four numbers of 32 bits, the octets in little-endian order. */
export type SipHashKey = readonly [number, number, number, number];

/** The first 16 octets as a key. */
export function sipHashKeyOf(octets: Uint8Array): SipHashKey {
  const view = new DataView(octets.buffer, octets.byteOffset, 16);
  return [view.getInt32(0, true), view.getInt32(4, true), view.getInt32(8, true), view.getInt32(12, true)];
}

/**
 * The hash of a text of octets (chars up to 255, as all text of the core), as 14 characters `[0-9a-z]`. A char above 255 is a broken
 * invariant and throws.
 */
export function sipHash([k0, K0, k1, K1]: SipHashKey, text: string): string {
  // Four numbers of 64 bits: small letters are their low halves, capitals their high ones.
  let a = k0 ^ 0x70736575;
  let A = K0 ^ 0x736f6d65;
  let b = k1 ^ 0x6e646f6d;
  let B = K1 ^ 0x646f7261;
  let c = k0 ^ 0x6e657261;
  let C = K0 ^ 0x6c796765;
  let d = k1 ^ 0x79746573;
  let D = K1 ^ 0x74656462;
  const last = text.length & ~7;
  // Blocks of eight octets, the last one with the length on top; behind them the end, which has no block and more rounds.
  for (let at = 0; at <= last + 8; at += 8) {
    const isEnd = at > last;
    const m = isEnd ? 0 : wordAt(text, at);
    const M = isEnd ? 0 : at === last ? wordAt(text, at + 4) | (text.length << 24) : wordAt(text, at + 4);
    d ^= m;
    D ^= M;
    if (isEnd) c ^= 0xff;
    for (let round = isEnd ? 4 : 2; round > 0; round -= 1) {
      let sum = (a + b) | 0;
      A = (A + B + carryOf(a, b, sum)) | 0;
      a = sum;
      let turned = (b << 13) | (B >>> 19);
      B = ((B << 13) | (b >>> 19)) ^ A;
      b = turned ^ a;
      sum = (c + d) | 0;
      C = (C + D + carryOf(c, d, sum)) | 0;
      c = sum;
      turned = (d << 16) | (D >>> 16);
      D = ((D << 16) | (d >>> 16)) ^ C;
      d = turned ^ c;
      // The first one's halves have changed places from here on.
      sum = (A + d) | 0;
      const high = (a + D + carryOf(A, d, sum)) | 0;
      a = sum;
      A = high;
      turned = (d << 21) | (D >>> 11);
      D = ((D << 21) | (d >>> 11)) ^ A;
      d = turned ^ a;
      sum = (c + b) | 0;
      C = (C + B + carryOf(c, b, sum)) | 0;
      turned = (b << 17) | (B >>> 15);
      B = ((B << 17) | (b >>> 15)) ^ C;
      b = turned ^ sum;
      c = C;
      C = sum;
    }
    a ^= m;
    A ^= M;
  }
  return base36((a ^ b ^ c ^ d) >>> 0, 7) + base36((A ^ B ^ C ^ D) >>> 0, 7);
}

const noOctets = "a text to be signed that is not of octets";

/** Four octets, the first one lowest; 0 behind the end. */
function wordAt(text: string, at: number): number {
  if (at + 4 > text.length) return lastWordAt(text, at);
  const a = text.charCodeAt(at);
  const b = text.charCodeAt(at + 1);
  const c = text.charCodeAt(at + 2);
  const d = text.charCodeAt(at + 3);
  if ((a | b | c | d) > 0xff) throw new RangeError(noOctets);
  return a | (b << 8) | (c << 16) | (d << 24);
}

function lastWordAt(text: string, at: number): number {
  return octetAt(text, at) | (octetAt(text, at + 1) << 8) | (octetAt(text, at + 2) << 16) | (octetAt(text, at + 3) << 24);
}

function octetAt(text: string, at: number): number {
  if (at >= text.length) return 0;
  const code = text.charCodeAt(at);
  if (code > 0xff) throw new RangeError(noOctets);
  return code;
}

/** What is carried to the high half when the low halves `x` and `y` have this sum. */
function carryOf(x: number, y: number, sum: number): number {
  return ((x & y) | ((x | y) & ~sum)) >>> 31;
}
