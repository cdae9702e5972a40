/** One timer, to be set, moved and cleared in a {@link TimerTable}: what happens when its time comes. */
export class Timer {
  readonly fire: (now: number) => void;
  /** What follows is the table's: when it fires, the turn in which it was set, and its place in the heap. */
  deadline = 0;
  order = 0;
  place = nowhere;

  constructor(fire: (now: number) => void) {
    this.fire = fire;
  }

  get isSet(): boolean {
    return this.place !== nowhere;
  }
}

/**
 * All timers of one exchange: a binary heap in which every timer knows its place, so that a cleared or moved one leaves nothing behind. (Lazy
 * deletion was rejected: Timer C stands for three minutes and is cleared after seconds, the heap would be mostly dead. So were timers by name: a name
 * had to be made, and found by its letters, whenever one was set or cleared.)
 * It maps onto a platform's one alarm: set the alarm to {@link nextDeadline}, and on every event {@link fireDue}.
 */
export class TimerTable {
  readonly #heap: Timer[] = [];
  /** Counts up: timers with the same deadline fire in the order they were set, so that a run can be repeated exactly. */
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** Sets a timer, or moves it. `deadline` is in ms since the epoch, as every time here. */
  set(timer: Timer, deadline: number): void {
    this.#order += 1;
    timer.deadline = deadline;
    timer.order = this.#order;
    if (!timer.isSet) {
      timer.place = this.#heap.length;
      this.#heap.push(timer);
    }
    this.#rise(timer);
    this.#sink(timer);
  }

  clear(timer: Timer): void {
    if (timer.isSet) this.#remove(timer);
  }

  /**
   * Fires what is due, earliest first. What is set meanwhile waits for the next call, even if it is due; what is cleared or moved meanwhile does not
   * fire; what one that throws leaves stays set.
   */
  fireDue(now: number): void {
    const last = this.#order;
    for (let first = this.#heap[0]; first !== undefined && first.deadline <= now && first.order <= last; first = this.#heap[0]) {
      this.#remove(first);
      first.fire(now);
    }
  }

  nextDeadline(): number | undefined {
    return this.#heap[0]?.deadline;
  }

  #remove(timer: Timer): void {
    const { place } = timer;
    timer.place = nowhere;
    const last = this.#heap.pop();
    if (last === undefined || last === timer) return;
    this.#put(last, place);
    this.#rise(last);
    this.#sink(last);
  }

  #rise(timer: Timer): void {
    while (timer.place > 0) {
      const above = (timer.place - 1) >> 1;
      const parent = this.#heap[above];
      if (parent === undefined || !isBefore(timer, parent)) return;
      this.#put(parent, timer.place);
      this.#put(timer, above);
    }
  }

  #sink(timer: Timer): void {
    for (;;) {
      const left = this.#heap[2 * timer.place + 1];
      if (left === undefined) return;
      const right = this.#heap[2 * timer.place + 2];
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (!isBefore(child, timer)) return;
      const below = child.place;
      this.#put(child, timer.place);
      this.#put(timer, below);
    }
  }

  #put(timer: Timer, place: number): void {
    this.#heap[place] = timer;
    timer.place = place;
  }
}

/** Place of a timer that is not set. */
const nowhere = -1;

function isBefore(left: Timer, right: Timer): boolean {
  return left.deadline < right.deadline || (left.deadline === right.deadline && left.order < right.order);
}
