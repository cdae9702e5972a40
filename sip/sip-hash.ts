import { base36Of32 } from "./base-36.ts";

/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of 64 bits, made for short texts. Nobody can compute or forge it without the key of 128
 * bits. In plain numbers it takes a fraction of the time that it takes to call a platform's HMAC.
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
  let rounds = 2;
  // Blocks of eight octets, the last one with the length on top; behind them the end, which has no block and more rounds.
  for (let at = 0; at <= last + 8; at += 8) {
    let m = 0;
    let M = 0;
    if (at < last) {
      m = wordIn(text, at);
      M = wordIn(text, at + 4);
    } else if (at === last) {
      m = lastWord(text, at);
      M = lastWord(text, at + 4) | (text.length << 24);
    } else {
      c ^= 0xff;
      rounds = 4;
    }
    d ^= m;
    D ^= M;
    for (let round = rounds; round > 0; round -= 1) {
      // A sum of low halves that is less than one of them is carried to the high ones.
      let sum = (a + b) | 0;
      A = (A + B + (sum >>> 0 < a >>> 0 ? 1 : 0)) | 0;
      a = sum;
      let turned = (b << 13) | (B >>> 19);
      B = ((B << 13) | (b >>> 19)) ^ A;
      b = turned ^ a;
      sum = (c + d) | 0;
      C = (C + D + (sum >>> 0 < c >>> 0 ? 1 : 0)) | 0;
      c = sum;
      turned = (d << 16) | (D >>> 16);
      D = ((D << 16) | (d >>> 16)) ^ C;
      d = turned ^ c;
      // The first one's halves have changed places from here on.
      sum = (A + d) | 0;
      const high = (a + D + (sum >>> 0 < A >>> 0 ? 1 : 0)) | 0;
      a = sum;
      A = high;
      turned = (d << 21) | (D >>> 11);
      D = ((D << 21) | (d >>> 11)) ^ A;
      d = turned ^ a;
      sum = (c + b) | 0;
      C = (C + B + (sum >>> 0 < c >>> 0 ? 1 : 0)) | 0;
      turned = (b << 17) | (B >>> 15);
      B = ((B << 17) | (b >>> 15)) ^ C;
      b = turned ^ sum;
      c = C;
      C = sum;
    }
    a ^= m;
    A ^= M;
  }
  return base36Of32((a ^ b ^ c ^ d) >>> 0) + base36Of32((A ^ B ^ C ^ D) >>> 0);
}

const noOctets = "a text to be signed that is not of octets";

/** Four octets, the first one lowest. */
function wordIn(text: string, at: number): number {
  const a = text.charCodeAt(at);
  const b = text.charCodeAt(at + 1);
  const c = text.charCodeAt(at + 2);
  const d = text.charCodeAt(at + 3);
  if ((a | b | c | d) > 0xff) throw new RangeError(noOctets);
  return a | (b << 8) | (c << 16) | (d << 24);
}

/** The same where the text may end: 0 behind it. */
function lastWord(text: string, at: number): number {
  let word = 0;
  for (let index = Math.min(at + 4, text.length) - 1; index >= at; index -= 1) {
    const code = text.charCodeAt(index);
    if (code > 0xff) throw new RangeError(noOctets);
    word |= code << (8 * (index - at));
  }
  return word;
}
