import { Random } from "./random.ts";

/** What a run found wrong: which invariant, when, and how it shows. */
export type Violation = { readonly invariant: string; readonly at: number; readonly detail: string };

/** A planned event that can be called off. */
export type Planned = { isOff: boolean };

type Event = Planned & { readonly at: number; readonly order: number; readonly run: () => void };

/**
 * True time, in ms since the run began, and what will happen: a discrete-event simulation. Everything random comes from {@link random}, so a
 * seed is a run.
 */
export class World {
  readonly random: Random;
  readonly violations: Violation[] = [];
  now = 0;
  events = 0;
  readonly #isVerbose: boolean;
  readonly #heap: Event[] = [];
  #order = 0;

  constructor(seed: number, isVerbose: boolean) {
    this.random = new Random(seed);
    this.#isVerbose = isVerbose;
  }

  at(time: number, run: () => void): Planned {
    this.#order += 1;
    const event = { at: Math.max(time, this.now), order: this.#order, run, isOff: false };
    this.#push(event);
    return event;
  }

  after(ms: number, run: () => void): Planned {
    return this.at(this.now + ms, run);
  }

  runUntil(time: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.at <= time; next = this.#heap[0]) {
      this.#pop();
      if (next.isOff) continue;
      this.now = next.at;
      this.events += 1;
      next.run();
    }
    this.now = time;
  }

  /** One line of the story of this run, made only when somebody reads it. */
  trace(who: string, what: () => string): void {
    if (this.#isVerbose) console.log(`${(this.now / 1000).toFixed(3).padStart(9)} ${who.padEnd(8)} ${what()}`);
  }

  violated(invariant: string, detail: string): void {
    this.trace("!!!", () => `${invariant}: ${detail}`);
    if (this.violations.length < 20) this.violations.push({ invariant, at: this.now, detail });
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      let child = heap[below];
      if (child === undefined) break;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, child)) {
        below += 1;
        child = right;
      }
      if (!isBefore(child, last)) break;
      heap[index] = child;
      index = below;
    }
    heap[index] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
