import { internedTextsMax } from "../limits.ts";

/**
 * One copy of what many records say. 100 000 bindings have a handful of transports and user agents.
 */
export class SharedTexts {
  #texts = new Map<string, string>();

  /** How many there are. */
  get size(): number {
    return this.#texts.size;
  }

  /** The copy of this text that all share. */
  of(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    if (this.#texts.size >= internedTextsMax) this.#texts = new Map();
    const own = detached(text);
    this.#texts.set(own, own);
    return own;
  }
}

/** The record's own copy of a text. `earlier`: the same text of the record before it, which is used again when it is equal. */
export function ownText(text: string, earlier: string | undefined): string {
  return text === earlier ? earlier : detached(text);
}

/**
 * A copy of the text in characters of its own. A text cut out of a message holds on to the whole message, for V8 shares the characters;
 * join() makes one flat text.
 */
export function detached(text: string): string {
  return text.length < 13 ? text : [text.slice(0, 1), text.slice(1)].join("");
}
