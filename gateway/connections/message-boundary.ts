/** Index in a frame's header from which the length may follow, if its 7 bits do not hold it. */
const lengthStart = 2;
const maskOctets = 4;

/**
 * Follows the frames of a WebSocket (RFC 6455 5.2) from its first octet. So it is known whether its other end is in the middle of a message. One that
 * stays there is stuck. It reads their headers only; whether they are as they must be is for the library to judge.
 */
export class MessageBoundary {
  /** Octets of the present header that came (none: between two frames), where its length ends, and how many it has. */
  #headerAt = 0;
  #lengthEnd = lengthStart;
  #headerLength = lengthStart;
  /** The first octet of the present header: FIN and opcode. */
  #start = 0;
  /** Octets of the present payload: all that its header says, and those still to come behind it. */
  #payload = 0;
  #left = 0;
  #isFragmented = false;
  #frames = 0;

  /** Frames that the present message has come in so far. */
  get frames(): number {
    return this.#frames;
  }

  /** Takes what came next. True: it ends where a message ends. */
  follow(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        at += taken;
      } else {
        this.#header(chunk[at] ?? 0);
        at += 1;
      }
      if (this.#left === 0 && this.#headerAt === 0) this.#frameEnds();
    }
    return this.#left === 0 && this.#headerAt === 0 && !this.#isFragmented;
  }

  #header(octet: number): void {
    if (this.#headerAt === 0) {
      this.#start = octet;
    } else if (this.#headerAt === 1) {
      const length = octet & 0x7f;
      const more = length === 127 ? 8 : length === 126 ? 2 : 0;
      this.#lengthEnd = lengthStart + more;
      this.#headerLength = this.#lengthEnd + ((octet & 0x80) === 0 ? 0 : maskOctets);
      this.#payload = more === 0 ? length : 0;
    } else if (this.#headerAt < this.#lengthEnd) {
      this.#payload = this.#payload * 256 + octet;
    }
    this.#headerAt += 1;
    if (this.#headerAt < lengthStart || this.#headerAt < this.#headerLength) return;
    this.#headerAt = 0;
    this.#left = this.#payload;
  }

  /** Control frames may come between the fragments of a message (5.4). */
  #frameEnds(): void {
    const isControl = (this.#start & 0x08) !== 0;
    if (isControl) return;
    this.#isFragmented = (this.#start & 0x80) === 0;
    this.#frames = this.#isFragmented ? this.#frames + 1 : 0;
  }
}
