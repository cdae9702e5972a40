import type { ClusterMap } from "../../cluster/map/cluster-map.ts";

type CellPlace = { readonly id: string; readonly url: string };

/**
 * Where this gateway finds cells. A URL of its configuration wins over the map's, for this machine may see a cell elsewhere than others do. It does so while
 * the map says of that cell what it said at first: a cell that is elsewhere now is not where the configuration was told.
 */
export class CellUrls {
  readonly #configured: Map<string, string>;
  /** What the map said of cells of the configuration when it named them first. */
  readonly #first = new Map<string, string>();

  constructor(cells: readonly CellPlace[]) {
    this.#configured = new Map(cells.map(({ id, url }) => [id, url]));
  }

  /** The cells of a map that is the newest. */
  placesIn({ cells }: Pick<ClusterMap, "cells">): readonly CellPlace[] {
    return cells.map(({ id, url }) => ({ id, url: this.#urlOf(id, url) }));
  }

  #urlOf(id: string, url: string): string {
    const first = this.#first.get(id) ?? url;
    this.#first.set(id, first);
    if (first !== url) this.#configured.delete(id);
    return this.#configured.get(id) ?? url;
  }
}
