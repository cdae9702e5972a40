/** A small generator of pseudo-random numbers (sfc32): the same seed gives the same numbers everywhere. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    this.#c = 0x9e3779b9;
    for (let i = 0; i < 12; i += 1) this.#next();
  }

  /** One of several streams of a seed (whole), independent of each other; 0 is `new Random(seed)`. A fraction of a seed makes none. */
  static stream(seed: number, number: number): Random {
    return new Random(seed + number * 2 ** 32);
  }

  /** In [0, 1). */
  real(): number {
    return this.#next() / 2 ** 32;
  }

  /** Whole, both bounds included. */
  whole(min: number, max: number): number {
    return min + Math.floor(this.real() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.real() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.whole(0, items.length - 1)];
    if (item === undefined) throw new RangeError("nothing to pick from");
    return item;
  }

  /** `[0-9a-z]`, 80 bits and a little. */
  id(): string {
    let text = "";
    while (text.length < 16) text += this.#next().toString(36).padStart(7, "0");
    return text.slice(0, 16);
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }
}
