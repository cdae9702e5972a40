import type { SteadyMs } from "../time.ts";

/**
 * What can be set, moved and cleared in a {@link TimerTable}. All but `fire` is the table's: when it fires, the turn in which it was set, and its
 * place in the heap. The place is {@link nowhere} when it is not set.
 */
export type Timed = {
  deadline: SteadyMs;
  order: number;
  place: number;
  /** What happens when its time comes. */
  fire(now: SteadyMs): void;
};

/** A timer of its own. What there are many of, transactions, are {@link Timed} themselves: one object, and no closure, for each. */
export class Timer implements Timed {
  readonly fire: (now: SteadyMs) => void;
  deadline = 0;
  order = 0;
  place: number = nowhere;

  constructor(fire: (now: SteadyMs) => void) {
    this.fire = fire;
  }
}

/** Place of a timer that is not set. */
export const nowhere = -1;

/**
 * All timers of one exchange: a binary heap in which every timer knows its place, so that a cleared or moved one leaves nothing behind. (Lazy
 * deletion was rejected: Timer C stands for three minutes and is cleared after seconds, the heap would be mostly dead. So were timers by name: a name
 * had to be made, and found by its letters, whenever one was set or cleared.)
 * It maps onto a platform's one alarm: set the alarm to {@link nextDeadline}, and on every event {@link fireDue}.
 */
export class TimerTable {
  readonly #heap: Timed[] = [];
  /** Counts up: timers with the same deadline fire in the order they were set, so that a run can be repeated exactly. */
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** Sets a timer, or moves it. `deadline` is in ms since the epoch, as every time here. */
  set(timer: Timed, deadline: SteadyMs): void {
    this.#order += 1;
    timer.deadline = deadline;
    timer.order = this.#order;
    if (timer.place === nowhere) {
      timer.place = this.#heap.length;
      this.#heap.push(timer);
    }
    this.#rise(timer);
    this.#sink(timer);
  }

  clear(timer: Timed): void {
    if (timer.place !== nowhere) this.#remove(timer);
  }

  /**
   * Fires what is due, earliest first. What is set meanwhile waits for the next call, even if it is due. What is cleared or moved meanwhile does not
   * fire. What one that throws leaves stays set. `until`: what was due after that is not yet, for it may have been answered.
   */
  fireDue(now: SteadyMs, until: SteadyMs = now): void {
    const last = this.#order;
    for (let first = this.#heap[0]; first !== undefined && first.deadline <= until && first.order <= last; first = this.#heap[0]) {
      this.#remove(first);
      first.fire(now);
    }
  }

  nextDeadline(): number | undefined {
    return this.#heap[0]?.deadline;
  }

  #remove(timer: Timed): void {
    const { place } = timer;
    timer.place = nowhere;
    const last = this.#heap.pop();
    if (last === undefined || last === timer) return;
    this.#put(last, place);
    this.#rise(last);
    this.#sink(last);
  }

  #rise(timer: Timed): void {
    while (timer.place > 0) {
      const above = (timer.place - 1) >> 1;
      const parent = this.#heap[above];
      if (parent === undefined || !isBefore(timer, parent)) return;
      this.#put(parent, timer.place);
      this.#put(timer, above);
    }
  }

  #sink(timer: Timed): void {
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

  #put(timer: Timed, place: number): void {
    this.#heap[place] = timer;
    timer.place = place;
  }
}

function isBefore(left: Timed, right: Timed): boolean {
  return left.deadline < right.deadline || (left.deadline === right.deadline && left.order < right.order);
}
