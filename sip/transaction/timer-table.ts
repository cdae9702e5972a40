import { timerQueuesMax } from "../limits.ts";
import type { SteadyMs } from "../time.ts";

/**
 * What can be set, moved and cleared in a {@link TimerTable}. All but `fire` is the table's: when it fires, the turn in which it was set, and where it
 * is. The place is one in the heap, or {@link inQueue} with its neighbours there, or {@link nowhere} when it is not set.
 */
export type Timed = {
  deadline: SteadyMs;
  order: number;
  place: number;
  before: Timed | undefined;
  after: Timed | undefined;
  /** What happens when its time comes. */
  fire(now: SteadyMs): void;
};

/** Place of a timer that is not set. */
export const nowhere = -1;
const inQueue = -2;

/** A timer of its own. What there are many of, transactions, are {@link Timed} themselves: one object, and no closure, for each. */
export class Timer implements Timed {
  readonly fire: (now: SteadyMs) => void;
  deadline = 0;
  order = 0;
  place: number = nowhere;
  before: Timed | undefined = undefined;
  after: Timed | undefined = undefined;

  constructor(fire: (now: SteadyMs) => void) {
    this.fire = fire;
  }
}

/** Timers in the order in which they fire: a new one is the last. */
type Queue = { first: Timed | undefined; last: Timed | undefined };

/**
 * All timers of one exchange. Nearly all of them run for one of a few times: 500 ms, 5 s, 32 s, three minutes. Those that run for the same time fire in
 * the order in which they were set. So they stand in queues, one for each of these times as it turns out: each joins the queue whose last one is
 * latest, of those that are not later. That takes the same short time however many there are. What fits into no queue stands in a heap.
 *
 * A heap alone was rejected: of 30 000 timers each one that fires moves a dozen others. Every timer knows its place, so that a cleared or moved one
 * leaves nothing behind. (Lazy deletion was rejected: Timer C stands for three minutes and is cleared after seconds, most would be dead. So were timers
 * by name: a name had to be made, and found by its letters, whenever one was set or cleared.)
 *
 * It maps onto a platform's one alarm: set the alarm to {@link nextDeadline}, and on every event {@link fireDue}.
 */
export class TimerTable {
  readonly #queues: Queue[] = [];
  readonly #heap: Timed[] = [];
  #size = 0;
  /** Counts up: timers with the same deadline fire in the order they were set, so that a run can be repeated exactly. */
  #order = 0;

  get size(): number {
    return this.#size;
  }

  /** Sets a timer, or moves it. `deadline` is in ms since the epoch, as every time here. */
  set(timer: Timed, deadline: SteadyMs): void {
    this.clear(timer);
    this.#order += 1;
    this.#size += 1;
    timer.deadline = deadline;
    timer.order = this.#order;
    const queue = this.#queueFor(deadline);
    if (queue !== undefined) return append(queue, timer);
    timer.place = this.#heap.length;
    this.#heap.push(timer);
    this.#rise(timer);
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
    for (let first = this.#first; first !== undefined && first.deadline <= until && first.order <= last; first = this.#first) {
      this.#remove(first);
      first.fire(now);
    }
  }

  nextDeadline(): number | undefined {
    return this.#first?.deadline;
  }

  get #first(): Timed | undefined {
    let found = this.#heap[0];
    for (const { first } of this.#queues) {
      if (first !== undefined && (found === undefined || isBefore(first, found))) found = first;
    }
    return found;
  }

  /** The queue that a timer with this deadline joins, as the last to be set; undefined: there is none for it. */
  #queueFor(deadline: SteadyMs): Queue | undefined {
    let found: Queue | undefined;
    let latest = Number.NEGATIVE_INFINITY;
    for (const queue of this.#queues) {
      const at = queue.last === undefined ? Number.NEGATIVE_INFINITY : queue.last.deadline;
      if (at > deadline || (found !== undefined && at <= latest)) continue;
      found = queue;
      latest = at;
    }
    if (found !== undefined || this.#queues.length >= timerQueuesMax) return found;
    const made: Queue = { first: undefined, last: undefined };
    this.#queues.push(made);
    return made;
  }

  #remove(timer: Timed): void {
    const { place } = timer;
    this.#size -= 1;
    timer.place = nowhere;
    if (place === inQueue) return this.#leaveQueue(timer);
    const last = this.#heap.pop();
    if (last === undefined || last === timer) return;
    this.#put(last, place);
    this.#rise(last);
    this.#sink(last);
  }

  #leaveQueue(timer: Timed): void {
    const { before, after } = timer;
    timer.before = undefined;
    timer.after = undefined;
    if (before !== undefined) before.after = after;
    if (after !== undefined) after.before = before;
    if (before !== undefined && after !== undefined) return;
    for (const queue of this.#queues) {
      if (queue.first === timer) queue.first = after;
      if (queue.last === timer) queue.last = before;
    }
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

function append(queue: Queue, timer: Timed): void {
  const { last } = queue;
  timer.place = inQueue;
  timer.before = last;
  if (last === undefined) queue.first = timer;
  else last.after = timer;
  queue.last = timer;
}

function isBefore(left: Timed, right: Timed): boolean {
  return left.deadline < right.deadline || (left.deadline === right.deadline && left.order < right.order);
}
