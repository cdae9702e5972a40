import type { Said } from "./heartbeat.ts";
import { pairOf, type ClusterMap } from "../map/cluster-map.ts";
import { hasReplica } from "../map/serving-cells.ts";

/** A cell that has been told all that the primary of an exchange has, to take the place of the secondary. */
export type Copy = { readonly exchange: number; readonly cell: string };

/** What a cell says of its own exchanges and services. */
export type Report = Pick<Said, "single" | "unfit" | "copies" | "handedOver">;

/** What has been learnt of this cell's own exchanges and services since its core group started. */
export class OwnReport {
  /** Something is left in this cell of replicas that it has no more. */
  hasLeft = false;
  readonly #single = new Set<number>();
  readonly #unfit = new Set<string>();
  readonly #copies = new Map<number, string>();
  readonly #handedOver = new Set<number>();

  get all(): Report {
    const copies = Array.from(this.#copies, ([exchange, cell]) => ({ exchange, cell }));
    return { single: [...this.#single], unfit: [...this.#unfit], copies, handedOver: [...this.#handedOver] };
  }

  /** True: that is news. */
  addHandedOver(exchange: number, exchangeCount: number, map: ClusterMap): boolean {
    const isAsked = map.doubled?.isUnderWay === true && exchangeCount === map.exchangeCount;
    if (!isAsked || this.#handedOver.has(exchange)) return false;
    this.#handedOver.add(exchange);
    return true;
  }

  /** There is another map: what was said does not count for it, or nobody wants to know any more. A replica that this cell has no more says nothing. */
  mapChanged(before: ClusterMap, map: ClusterMap, own: string): void {
    for (const exchange of this.#single) if (!hasReplica(map, exchange, own)) this.#single.delete(exchange);
    if (map.doubled?.isUnderWay !== true || map.exchangeCount !== before.exchangeCount) this.#handedOver.clear();
  }

  setSingle(exchange: number, isSingle: boolean): void {
    if (isSingle) this.#single.add(exchange);
    else this.#single.delete(exchange);
  }

  /** True: that is news. */
  setFit(service: string, isFit: boolean): boolean {
    if (this.#unfit.has(service) !== isFit) return false;
    if (isFit) this.#unfit.delete(service);
    else this.#unfit.add(service);
    return true;
  }

  /** True: that is news. */
  setCopied(exchange: number, cell: string | undefined): boolean {
    if (this.#copies.get(exchange) === cell) return false;
    if (cell === undefined) this.#copies.delete(exchange);
    else this.#copies.set(exchange, cell);
    return true;
  }
}

/** What is said in a heartbeat: nothing of what there is none of. */
export function saidOf(said: Partial<Said>): Partial<Said> {
  return Object.fromEntries(Object.entries(said).filter(([, list]) => list.length > 0));
}

/** Exchanges of which one replica alone knows all, as a cell says that has one. What a cell says of others that it had once does not count. */
export function singleIn(map: ClusterMap, cells: readonly { readonly id: string; readonly single: readonly number[] }[]): Set<number> {
  return new Set(
    cells.flatMap(({ id, single }) => single.filter((exchange) => exchange < map.exchangeCount && hasReplica(map, exchange, id))),
  );
}

/** Exchanges whose joining cell knows all, as its primary says: nobody else can, and what was said of an earlier one does not count. */
export function joinedIn(map: ClusterMap, cells: readonly { readonly id: string; readonly copies: readonly Copy[] }[]): Set<number> {
  const joined = new Set<number>();
  for (const { id, copies } of cells) {
    for (const { exchange, cell } of copies) {
      if (exchange >= map.exchangeCount) continue;
      const { primary, joining } = pairOf(map, exchange);
      if (primary === id && joining === cell) joined.add(exchange);
    }
  }
  return joined;
}
