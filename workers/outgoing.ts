import { outgoingMax } from "./limits.ts";

/** What waits for its turn. */
type Waiting = { readonly begin: () => void };

/**
 * What one object has asked of other cells and has no answer to yet. Cloudflare lets an object have six such requests, and makes the seventh wait behind
 * them, whoever it is for. A cell that is frozen answers none of its own until they end. So each cell has its share of the six: what is asked of the others
 * never waits for it. What is over the share waits here, in its order.
 */
export class Outgoing {
  /** By cell: how many are under way. */
  readonly #underWay = new Map<string, number>();
  readonly #waiting = new Map<string, Waiting[]>();

  /**
   * Asks a cell something, one of so many others, as soon as its share allows. Rejects like `ask`, and with the reason of the signal when that says so before its
   * turn has come.
   */
  async send<Answer>(cell: string, others: number, signal: AbortSignal, ask: () => Promise<Answer>): Promise<Answer> {
    if (this.#count(cell) >= shareOf(others)) await this.#turn(cell, signal);
    else this.#underWay.set(cell, this.#count(cell) + 1);
    try {
      return await ask();
    } finally {
      this.#over(cell);
    }
  }

  #count(cell: string): number {
    return this.#underWay.get(cell) ?? 0;
  }

  #turn(cell: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const line = this.#waiting.get(cell) ?? [];
      const stop = (): void => {
        const index = line.indexOf(waiting);
        if (index < 0) return;
        line.splice(index, 1);
        reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
      };
      const waiting: Waiting = {
        begin: () => {
          signal.removeEventListener("abort", stop);
          resolve();
        },
      };
      line.push(waiting);
      this.#waiting.set(cell, line);
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop);
    });
  }

  /** Whoever is next has this one's place, before anybody else can take it. */
  #over(cell: string): void {
    const next = this.#waiting.get(cell)?.shift();
    if (next === undefined) this.#underWay.set(cell, this.#count(cell) - 1);
    else next.begin();
  }
}

/** Of the six, those that one of so many other cells may have under way. */
export function shareOf(others: number): number {
  return Math.max(1, Math.floor(outgoingMax / Math.max(1, others)));
}
