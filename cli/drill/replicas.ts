import { isTable, isText } from "../json.ts";

/** Asks a replica for its digest (workers/exchange/digest.ts). */
export type AskDigest = (cell: string, exchange: number) => Promise<unknown>;

/** Which two cells have an exchange. */
export type PairOfExchange = { readonly exchange: number; readonly primary: string; readonly secondary: string };

/**
 * Whether both replicas of every exchange have come to hold the same. Phones register meanwhile, and what has just changed is on its way, so at one
 * moment something nearly always differs: of a system in which nothing had failed, every second look said so, and for up to 2.8 s each. So a table is
 * looked at in parts, and each must have been the same once. What differs for good makes its part differ for good.
 */
export class Replicas {
  /** Parts of each exchange that have not been seen to be the same; absent: not looked at yet. */
  readonly #open = new Map<number, Set<number>>();

  /** Looks at what is open. True: nothing is any more. A cell that does not answer has not the same. */
  async look(ask: AskDigest, pairs: readonly PairOfExchange[]): Promise<boolean> {
    await Promise.all(pairs.map(async (pair) => await this.#compare(ask, pair)));
    return pairs.length > 0 && pairs.every(({ exchange }) => this.#open.get(exchange)?.size === 0);
  }

  async #compare(ask: AskDigest, { exchange, primary, secondary }: PairOfExchange): Promise<void> {
    const open = this.#open.get(exchange);
    if (open?.size === 0) return;
    const [first, second] = await Promise.all([partsOf(ask, primary, exchange), partsOf(ask, secondary, exchange)]);
    if (first === undefined || second === undefined || first.length !== second.length) return;
    const indexes = open === undefined ? first.keys() : open.values();
    this.#open.set(exchange, new Set([...indexes].filter((index) => first[index] !== second[index])));
  }
}

async function partsOf(ask: AskDigest, cell: string, exchange: number): Promise<readonly string[] | undefined> {
  try {
    const answer = await ask(cell, exchange);
    const parts: unknown = isTable(answer) ? answer["parts"] : undefined;
    return Array.isArray(parts) && parts.length > 0 && parts.every(isText) ? parts : undefined;
  } catch {
    return undefined;
  }
}
