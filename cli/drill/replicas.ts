import { isTable, isText } from "../json.ts";

/** Asks a replica for its digest (workers/exchange/digest.ts). */
export type AskDigest = (cell: "a" | "b", exchange: number) => Promise<unknown>;

/**
 * Whether both replicas of every exchange have come to hold the same. Phones register meanwhile, and what has just changed is on its way, so at one
 * moment something nearly always differs: of a system in which nothing had failed, every second look said so, and for up to 2.8 s each. So a table is
 * looked at in parts, and each must have been the same once. What differs for good makes its part differ for good.
 */
export class Replicas {
  /** Parts of each exchange that have not been seen to be the same; undefined: not looked at yet. */
  readonly #open: (Set<number> | undefined)[];

  constructor(exchangeCount: number) {
    this.#open = Array.from({ length: exchangeCount }, () => undefined);
  }

  /** Looks at what is open. True: nothing is any more. A cell that does not answer has not the same. */
  async look(ask: AskDigest): Promise<boolean> {
    await Promise.all(this.#open.map(async (open, exchange) => await this.#compare(ask, open, exchange)));
    return this.#open.every((open) => open?.size === 0);
  }

  async #compare(ask: AskDigest, open: ReadonlySet<number> | undefined, exchange: number): Promise<void> {
    if (open?.size === 0) return;
    const [first, second] = await Promise.all([partsOf(ask, "a", exchange), partsOf(ask, "b", exchange)]);
    if (first === undefined || second === undefined || first.length !== second.length) return;
    const indexes = open === undefined ? first.keys() : open.values();
    this.#open[exchange] = new Set([...indexes].filter((index) => first[index] !== second[index]));
  }
}

async function partsOf(ask: AskDigest, cell: "a" | "b", exchange: number): Promise<readonly string[] | undefined> {
  try {
    const answer = await ask(cell, exchange);
    const parts: unknown = isTable(answer) ? answer["parts"] : undefined;
    return Array.isArray(parts) && parts.length > 0 && parts.every(isText) ? parts : undefined;
  } catch {
    return undefined;
  }
}
