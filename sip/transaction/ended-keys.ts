import { endedKeysMax, endedKeysMs } from "../limits.ts";
import { fnv1a } from "../transport/token.ts";

/**
 * Which client transactions have ended lately, as hashes of their keys in two generations: 30 bits each, for at 300 calls/s they are
 * tens of thousands. Of a billion late responses one is taken for another's: it is dropped, as if the network had lost it.
 */
export class EndedKeys {
  #young = new Set<number>();
  #old = new Set<number>();
  #turnedAt = 0;

  add(key: string, now: number): void {
    if (now - this.#turnedAt > endedKeysMs || this.#young.size >= endedKeysMax) {
      this.#old = now - this.#turnedAt > 2 * endedKeysMs ? new Set() : this.#young;
      this.#young = new Set();
      this.#turnedAt = now;
    }
    this.#young.add(hashOf(key));
  }

  has(key: string): boolean {
    const hash = hashOf(key);
    return this.#young.has(hash) || this.#old.has(hash);
  }
}

function hashOf(key: string): number {
  return fnv1a(key) & 0x3fffffff;
}
