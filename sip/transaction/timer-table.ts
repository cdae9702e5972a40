/**
 * All timers of one exchange, by key: a binary heap with the place of every entry known, so that a cleared or moved timer leaves nothing
 * behind. (Lazy deletion was rejected: Timer C stands for three minutes and is cleared after seconds, the heap would be mostly dead.)
 * It maps onto a platform's one alarm: set the alarm to {@link nextDeadline}, and on every event fire what is {@link due}.
 */
export class TimerTable {
  readonly #entries = new Map<string, Entry>();
  readonly #heap: Entry[] = [];
  /** Counts up: timers with the same deadline fire in the order they were set, so that a run can be repeated exactly. */
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** Sets a timer, or moves it. `deadline` is in ms since the epoch, as every time here. */
  set(key: string, deadline: number): void {
    this.#order += 1;
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      const created = { key, deadline, order: this.#order, index: this.#heap.length };
      this.#entries.set(key, created);
      this.#heap.push(created);
      this.#rise(created);
      return;
    }
    entry.deadline = deadline;
    entry.order = this.#order;
    this.#rise(entry);
    this.#sink(entry);
  }

  clear(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#remove(entry);
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** The keys whose deadline has come, earliest first; they are removed. */
  due(now: number): string[] {
    const keys: string[] = [];
    for (let first = this.#heap[0]; first !== undefined && first.deadline <= now; first = this.#heap[0]) {
      this.#entries.delete(first.key);
      this.#remove(first);
      keys.push(first.key);
    }
    return keys;
  }

  nextDeadline(): number | undefined {
    return this.#heap[0]?.deadline;
  }

  #remove(entry: Entry): void {
    const last = this.#heap.pop();
    if (last === undefined || last === entry) return;
    this.#place(last, entry.index);
    this.#rise(last);
    this.#sink(last);
  }

  #rise(entry: Entry): void {
    while (entry.index > 0) {
      const parentIndex = (entry.index - 1) >> 1;
      const parent = this.#heap[parentIndex];
      if (parent === undefined || !isBefore(entry, parent)) return;
      this.#place(parent, entry.index);
      this.#place(entry, parentIndex);
    }
  }

  #sink(entry: Entry): void {
    for (;;) {
      const left = this.#heap[2 * entry.index + 1];
      if (left === undefined) return;
      const right = this.#heap[2 * entry.index + 2];
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (!isBefore(child, entry)) return;
      const childIndex = child.index;
      this.#place(child, entry.index);
      this.#place(entry, childIndex);
    }
  }

  #place(entry: Entry, index: number): void {
    this.#heap[index] = entry;
    entry.index = index;
  }
}

type Entry = { readonly key: string; deadline: number; order: number; index: number };

function isBefore(left: Entry, right: Entry): boolean {
  return left.deadline < right.deadline || (left.deadline === right.deadline && left.order < right.order);
}
