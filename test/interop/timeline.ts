import { nodeEnvironment } from "../../kit/connections/node-environment.ts";
import { News } from "../../kit/phone/news.ts";

/**
 * What happened, in order, and the way to wait for it: every wait of the interop tests is a wait for an event that is in here already
 * or will be within a bound. Nothing is lost between two waits, because events stay.
 */
export class Timeline<T> {
  readonly #events: T[] = [];
  readonly #describe: (event: T) => string;
  readonly #news = new News(nodeEnvironment);
  #closed: string | undefined;

  /** @param describe one line of text for an event; the last ones are part of a timeout's message */
  constructor(describe: (event: T) => string = String) {
    this.#describe = describe;
  }

  /** The number of events so far: a mark to search from. */
  get length(): number {
    return this.#events.length;
  }

  get events(): readonly T[] {
    return this.#events;
  }

  push(event: T): void {
    this.#events.push(event);
    this.#news.tell();
  }

  /** No more events will come: waits that are not fulfilled fail at once, with this reason. */
  close(reason: string): void {
    this.#closed ??= reason;
    this.#news.tell();
  }

  /** The last events as text, newest last. */
  tail(count = 25): string {
    return this.#events
      .slice(-count)
      .map((event) => this.#describe(event))
      .join("\n");
  }

  /**
   * The first value that `select` finds (anything but undefined) in the events from `since` on.
   * Rejects after `withinMs`, or at once when the timeline is closed, with the last events in the message.
   */
  async first<R>(what: string, select: (event: T) => R | undefined, options: { since?: number; withinMs?: number } = {}): Promise<R> {
    const withinMs = options.withinMs ?? 15_000;
    const deadline = performance.now() + withinMs;
    let at = options.since ?? 0;
    for (;;) {
      for (; at < this.#events.length; at += 1) {
        const found = select(this.#events[at] as T);
        if (found !== undefined) return found;
      }
      if (this.#closed !== undefined) throw new Error(`${what}: ${this.#closed}\n${this.tail()}`);
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`${what}: not within ${withinMs} ms\n${this.tail()}`);
      await this.#news.change(left);
    }
  }
}
