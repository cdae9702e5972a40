/** Events in the order of their times, and of those at the same time in the order in which they were set. */
export class EventQueue {
  now = 1_000_000;
  readonly #queue: { readonly at: number; readonly order: number; readonly run: () => void }[] = [];
  #order = 0;

  at(at: number, run: () => void): void {
    this.#order += 1;
    this.#queue.push({ at: Math.max(at, this.now), order: this.#order, run });
  }

  after(ms: number, run: () => void): void {
    this.at(this.now + ms, run);
  }

  /** Lets `ms` pass. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      let next = -1;
      for (const [index, { at, order }] of this.#queue.entries()) {
        const best = this.#queue[next];
        if (at <= end && (best === undefined || at < best.at || (at === best.at && order < best.order))) next = index;
      }
      const [event] = next < 0 ? [] : this.#queue.splice(next, 1);
      if (event === undefined) break;
      this.now = event.at;
      event.run();
    }
    this.now = end;
  }
}
