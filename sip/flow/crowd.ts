/** Somebody who is counted by where he comes from. */
export type Member = { readonly source: string };

/**
 * Members by source. It is known which source has the most, and which of its members has been there longest. Room is made there, so who floods a
 * place loses his own. Every step takes the same time, however many there are.
 */
export class Crowd<Guest extends Member> {
  /** Each in the order of arrival. */
  readonly #bySource = new Map<string, Set<Guest>>();
  /** Sources by how many members they have. */
  readonly #byCount: Set<string>[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  countOf(source: string): number {
    return this.#bySource.get(source)?.size ?? 0;
  }

  add(guest: Guest): void {
    const { source } = guest;
    let guests = this.#bySource.get(source);
    if (guests === undefined) this.#bySource.set(source, (guests = new Set()));
    if (guests.has(guest)) return;
    this.#move(source, guests.size, guests.size + 1);
    guests.add(guest);
    this.#size += 1;
  }

  /** False: it was not there. */
  remove(guest: Guest): boolean {
    const { source } = guest;
    const guests = this.#bySource.get(source);
    if (guests?.delete(guest) !== true) return false;
    this.#move(source, guests.size + 1, guests.size);
    if (guests.size === 0) this.#bySource.delete(source);
    this.#size -= 1;
    return true;
  }

  /** Who of this source has been there longest. */
  firstOf(source: string): Guest | undefined {
    return this.#bySource.get(source)?.values().next().value;
  }

  /** Who of the source that has the most has been there longest. */
  firstOfLargest(): Guest | undefined {
    const source = this.#byCount.at(-1)?.values().next().value;
    return source === undefined ? undefined : this.firstOf(source);
  }

  #move(source: string, from: number, to: number): void {
    this.#byCount[from]?.delete(source);
    if (to > 0) (this.#byCount[to] ??= new Set()).add(source);
    while (this.#byCount.length > 0 && (this.#byCount.at(-1)?.size ?? 0) === 0) this.#byCount.pop();
  }
}
