import { newsSpacingMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** When the heartbeats of a cell leave: once a period to all, and between with news to those that live. */
export class BeatTimes {
  #nextTick: number;
  /** When news leave that do not wait for the next tick. */
  #newsAt: SteadyMs | undefined;
  #newsSentAt = Number.NEGATIVE_INFINITY;

  /** The first is due at once. */
  constructor(now: SteadyMs) {
    this.#nextTick = now;
  }

  /** When the next regular ones are due, ms. */
  get nextTick(): number {
    return this.#nextTick;
  }

  /** When the next of any kind are, ms. */
  get deadline(): number {
    return Math.min(this.#nextTick, this.#newsAt ?? Number.POSITIVE_INFINITY);
  }

  /** What leaves now. Regular ones bring the news along. */
  take(periodMs: number, now: SteadyMs): "regular" | "news" | "none" {
    if (now >= this.#nextTick) {
      this.#nextTick = this.#nextTick + periodMs > now ? this.#nextTick + periodMs : now + periodMs;
      this.#newsAt = undefined;
      return "regular";
    }
    if (this.#newsAt === undefined || now < this.#newsAt) return "none";
    this.#newsAt = undefined;
    this.#newsSentAt = now;
    return "news";
  }

  /** News leave at once, but many at a time when they come thick. */
  hasNews(now: SteadyMs): void {
    this.#newsAt ??= Math.max(now, this.#newsSentAt + newsSpacingMs);
  }

  /** The period is another one: the next regular ones come within it. */
  setPeriod(periodMs: number, now: SteadyMs): void {
    this.#nextTick = Math.min(this.#nextTick, now + periodMs);
  }
}
