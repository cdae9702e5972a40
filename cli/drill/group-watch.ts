import { setTimeout as delay } from "node:timers/promises";
import type { Status } from "../../schemas/api-answers.ts";
import type { ApiClient } from "../api-client.ts";
import { isStatus } from "../status.ts";

/** Which cells have an exchange, as a cell's status says it. */
export type ExchangeOfStatus = NonNullable<Status["exchanges"]>[number];

const pollMs = 200;

/** Counts replicas that cells were given which did not have them. */
export class Moves {
  readonly #cells = new Map<number, readonly string[]>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Replicas that each cell has, or is being told. */
  get replicas(): Readonly<Record<string, number>> {
    const all = [...this.#cells.values()].flat().toSorted();
    return Object.fromEntries(
      Array.from(
        Map.groupBy(all, (cell) => cell),
        ([cell, each]) => [cell, each.length],
      ),
    );
  }

  /** What is seen of an exchange for the first time was no move. */
  see(exchanges: readonly Pick<ExchangeOfStatus, "exchange" | "primary" | "secondary" | "joining">[]): void {
    for (const { exchange, primary, secondary, joining } of exchanges) {
      const cells = [...new Set([primary, secondary, ...(joining === undefined ? [] : [joining])])];
      const before = this.#cells.get(exchange) ?? cells;
      this.#count += cells.filter((cell) => !before.includes(cell)).length;
      this.#cells.set(exchange, cells);
    }
  }
}

/** Looks at a cell's status while replicas move. */
export class GroupWatch {
  readonly moves: Moves = new Moves();
  readonly #api: ApiClient;
  readonly #signal: AbortSignal;

  constructor(api: ApiClient, signal: AbortSignal) {
    this.#api = api;
    this.#signal = signal;
  }

  /** Looks once. Undefined: the cell does not answer now. */
  async look(): Promise<Status | undefined> {
    const status = await this.#api.get("/api/status").catch(() => undefined);
    if (!isStatus(status)) return undefined;
    this.moves.see(status.exchanges ?? []);
    return status;
  }

  /**
   * Waits until all is as it is to be, and stays so for `restMs` without a further move. So many ms after now that was so first; undefined: not within the time.
   */
  async until(isDone: (status: Status) => boolean, withinMs: number, restMs = 0): Promise<number | undefined> {
    const startedAt = performance.now();
    let doneAt: number | undefined;
    let moves = this.moves.count;
    for (;;) {
      const status = await this.look();
      const now = performance.now();
      const isAsItIsToBe = status !== undefined && isDone(status);
      if (!isAsItIsToBe || this.moves.count !== moves) doneAt = undefined;
      moves = this.moves.count;
      if (isAsItIsToBe) doneAt ??= now;
      if (doneAt !== undefined && now - doneAt >= restMs) return Math.round(doneAt - startedAt);
      if (doneAt === undefined && now - startedAt > withinMs) return undefined;
      await delay(pollMs, undefined, { signal: this.#signal });
    }
  }
}

/** Every exchange has two replicas that know all, and none of them is in one of these cells. */
export function isWholeWithout({ exchanges = [] }: Status, cells: readonly string[]): boolean {
  return exchanges.every(({ primary, secondary, state }) => state === "paired" && !cells.includes(primary) && !cells.includes(secondary));
}
