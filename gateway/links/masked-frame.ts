import { randomFillSync } from "node:crypto";

const binaryFinal = 0x82;
const masked = 0x80;
const length16 = 126;
const length64 = 127;

/**
 * A binary message of a client as one frame (RFC 6455 5.2), under its key. `ws` lays the mask octet by octet, which is the most of what a gateway does
 * in JavaScript. Here it is four octets at a time.
 */
export function maskedFrame(payload: Uint8Array, key: number): Uint8Array {
  const { length } = payload;
  const extended = length < length16 ? 0 : length < 65_536 ? 2 : 8;
  const headerOctets = 2 + extended + 4;
  // The key and what follows begin at a multiple of four.
  const before = -headerOctets & 3;
  const start = before + headerOctets;
  const wordCount = (length + 3) >> 2;
  const block = alignedBlock(start + 4 * wordCount);
  block[before] = binaryFinal;
  block[before + 1] = masked | (extended === 0 ? length : extended === 2 ? length16 : length64);
  if (extended === 2) block.writeUInt16BE(length, before + 2);
  else if (extended === 8) block.writeBigUInt64BE(BigInt(length), before + 2);
  block.set(payload, start);
  // Whatever the order of octets in a number is here, it is that of key and payload alike.
  const words = new Int32Array(block.buffer, block.byteOffset + start - 4, 1 + wordCount);
  words[0] = key;
  for (let i = 1; i <= wordCount; i += 1) words[i] = (words[i] ?? 0) ^ key;
  return block.subarray(before, start + length);
}

/** Small ones share a block of Node's, which begin at a multiple of eight until that is said otherwise. */
function alignedBlock(octets: number): Buffer<ArrayBuffer> {
  const block = Buffer.allocUnsafe(octets);
  return (block.byteOffset & 3) === 0 ? block : Buffer.allocUnsafeSlow(octets);
}

/** Keys that nobody can foresee (RFC 6455 5.3), some hundred at a time from the system. */
export class MaskKeys {
  readonly #keys = new Int32Array(256);
  #used = 256;

  next(): number {
    if (this.#used === this.#keys.length) {
      randomFillSync(this.#keys);
      this.#used = 0;
    }
    const key = this.#keys[this.#used] ?? 0;
    this.#used += 1;
    return key;
  }
}
