import type { WallMs } from "../time.ts";

/** What Date says (RFC 3261 20.17). A second has one text: to make it anew takes as long as to write half of a response. */
export class DateTexts {
  #second = -1;
  #text = "";

  of(now: WallMs): string {
    const second = Math.floor(now / 1000);
    if (second === this.#second) return this.#text;
    this.#second = second;
    this.#text = new Date(now).toUTCString();
    return this.#text;
  }
}
