import type { SteadyMs } from "./time.ts";

/**
 * What was set lately, by key: for so many ms at least and twice as long at most, and a bounded number. The older half is forgotten at once, so nothing is
 * looked through. Time passes when something is set, and by {@link look}.
 */
export class TwoGenerations<Key, Value> {
  readonly #ms: number;
  readonly #max: number;
  #recent = new Map<Key, Value>();
  #earlier: ReadonlyMap<Key, Value> = new Map();
  #since: SteadyMs = Number.NEGATIVE_INFINITY;

  /** `max`: of one generation; both together hold twice as many. */
  constructor(ms: number, max = Number.POSITIVE_INFINITY) {
    this.#ms = ms;
    this.#max = max;
  }

  get isEmpty(): boolean {
    return this.#recent.size === 0 && this.#earlier.size === 0;
  }

  /** The latest value of this key. */
  get(key: Key): Value | undefined {
    return this.#recent.get(key) ?? this.#earlier.get(key);
  }

  /** The value of the younger half, which is remembered for a whole turn yet. */
  recentOf(key: Key): Value | undefined {
    return this.#recent.get(key);
  }

  earlierOf(key: Key): Value | undefined {
    return this.#earlier.get(key);
  }

  set(key: Key, value: Value, now: SteadyMs): void {
    this.look(now);
    if (this.#recent.size >= this.#max) this.#turn(now);
    this.#recent.set(key, value);
  }

  /** Sets what is known already: no time passes. */
  change(key: Key, value: Value): void {
    this.#recent.set(key, value);
  }

  /** Forgets what is too old. */
  look(now: SteadyMs): void {
    if (now - this.#since >= this.#ms) this.#turn(now);
  }

  #turn(now: SteadyMs): void {
    this.#earlier = now - this.#since < 2 * this.#ms ? this.#recent : new Map();
    this.#recent = new Map();
    this.#since = now;
  }
}
