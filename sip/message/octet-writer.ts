import { writeText } from "./octets.ts";

const initialOctets = 4_096;
/** Pieces up to this are copied octet by octet: making a view of them would cost more. */
const shortPiece = 48;

/**
 * Puts a message together from text and from octets of another one, in one pass. The memory is used again for the next one, and only {@link take}
 * allocates. One at a time: who begins must take before the next one begins.
 */
export class OctetWriter {
  #octets = new Uint8Array(initialOctets);
  #length = 0;

  /** Forgets what was put in. */
  begin(): this {
    this.#length = 0;
    return this;
  }

  /** Text, as `octetsOf` has it. */
  text(text: string): this {
    // A char is three octets at most.
    this.#reserve(3 * text.length);
    this.#length = writeText(this.#octets, this.#length, text);
    return this;
  }

  /** The octets from `start` to `end`. */
  octets(source: Uint8Array, start: number, end: number): this {
    if (end <= start) return this;
    this.#reserve(end - start);
    const target = this.#octets;
    if (end - start <= shortPiece) {
      for (let from = start, to = this.#length; from < end; from += 1, to += 1) target[to] = source[from] ?? 0;
    } else target.set(source.subarray(start, end), this.#length);
    this.#length += end - start;
    return this;
  }

  /** All that was put in, in octets of its own. */
  take(): Uint8Array {
    return this.#octets.slice(0, this.#length);
  }

  #reserve(more: number): void {
    const wanted = this.#length + more;
    if (wanted <= this.#octets.length) return;
    const larger = new Uint8Array(Math.max(wanted, 2 * this.#octets.length));
    larger.set(this.#octets.subarray(0, this.#length));
    this.#octets = larger;
  }
}
