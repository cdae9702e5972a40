/**
 * Which keys share a text: bindings by address-of-record, bindings by flow. Most texts have one key, which then is held without a set.
 */
export class KeyIndex {
  readonly #keys = new Map<string, string | string[]>();

  add(text: string, key: string): void {
    const present = this.#keys.get(text);
    if (present === undefined) this.#keys.set(text, key);
    else if (typeof present === "string") {
      if (present !== key) this.#keys.set(text, [present, key]);
    } else if (!present.includes(key)) present.push(key);
  }

  remove(text: string, key: string): void {
    const present = this.#keys.get(text);
    if (present === undefined) return;
    if (typeof present === "string") {
      if (present === key) this.#keys.delete(text);
      return;
    }
    const at = present.indexOf(key);
    if (at >= 0) present.splice(at, 1);
    if (present.length === 0) this.#keys.delete(text);
    else if (present.length === 1 && present[0] !== undefined) this.#keys.set(text, present[0]);
  }

  /** The keys of a text, in the order they were added. */
  keysOf(text: string): readonly string[] {
    const present = this.#keys.get(text);
    if (present === undefined) return [];
    return typeof present === "string" ? [present] : present;
  }

  /** How many different texts there are. */
  get size(): number {
    return this.#keys.size;
  }
}
