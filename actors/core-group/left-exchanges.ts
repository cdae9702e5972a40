import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { placesIn } from "../../cluster/map/serving-cells.ts";

/**
 * Exchanges that had a replica in this cell, or were to have one, and have none by the map. Each has something left, until it says that it has handed it over. Who
 * starts wakes them: nobody else will ask them for anything.
 */
export class LeftExchanges {
  readonly #cell: string;
  readonly #keep: (exchanges: readonly number[]) => void;
  #all: ReadonlySet<number>;

  constructor(cell: string, kept: readonly number[], keep: (exchanges: readonly number[]) => void) {
    this.#cell = cell;
    this.#all = new Set(kept);
    this.#keep = keep;
  }

  get all(): ReadonlySet<number> {
    return this.#all;
  }

  mapChanged(before: ClusterMap, map: ClusterMap): void {
    const present = new Set(placesIn(map, this.#cell));
    this.#set([...this.#all, ...placesIn(before, this.#cell)].filter((exchange) => !present.has(exchange)));
  }

  emptied(exchange: number): void {
    this.#set([...this.#all].filter((each) => each !== exchange));
  }

  #set(exchanges: readonly number[]): void {
    const all = new Set(exchanges);
    const isSame = all.size === this.#all.size && exchanges.every((each) => this.#all.has(each));
    this.#all = all;
    if (!isSame) this.#keep([...all]);
  }
}
