/**
 * Which keys share a text: bindings by address-of-record, bindings by flow. Most texts have one key, which then is held without a set. But behind a
 * proxy or a gateway of another make all phones share one flow. So no text may cost more the more keys it has.
 */
export class KeyIndex {
  readonly #keys = new Map<string, string | Set<string>>();

  add(text: string, key: string): void {
    const present = this.#keys.get(text);
    if (present === undefined) this.#keys.set(text, key);
    else if (typeof present !== "string") present.add(key);
    else if (present !== key) this.#keys.set(text, new Set([present, key]));
  }

  remove(text: string, key: string): void {
    const present = this.#keys.get(text);
    if (present === undefined) return;
    if (typeof present === "string") {
      if (present === key) this.#keys.delete(text);
      return;
    }
    present.delete(key);
    const [first] = present;
    if (present.size === 1 && first !== undefined) this.#keys.set(text, first);
  }

  /** The keys of a text, in the order they were added. Neither add nor remove any while going through them. */
  keysOf(text: string): Iterable<string> {
    const present = this.#keys.get(text);
    if (present === undefined) return [];
    return typeof present === "string" ? [present] : present;
  }

  /** How many keys a text has. */
  countOf(text: string): number {
    const present = this.#keys.get(text);
    if (present === undefined) return 0;
    return typeof present === "string" ? 1 : present.size;
  }

  /** How many different texts there are. */
  get size(): number {
    return this.#keys.size;
  }
}
