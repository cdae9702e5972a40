import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import { warnOf } from "../way-lost.ts";

/** An answer from a cell for some exchanges, and the exchanges that no cell answered for. */
export type Gathered<Answer> = { readonly answers: readonly Answer[]; readonly missing: readonly number[] };

/**
 * Asks for some exchanges, one question for each cell, each exchange once. The replicas in the asking cell and the primaries of the rest come first.
 * For those that did not answer their other replicas follow.
 */
export async function gather<Answer>(
  map: ClusterMap,
  own: string,
  exchanges: readonly number[],
  ask: (cell: string, exchanges: readonly number[]) => Promise<Answer>,
): Promise<Gathered<Answer>> {
  const answers: Answer[] = [];
  let missing = exchanges;
  for (const replica of [0, 1]) {
    const groups = new Map<string, number[]>();
    const without: number[] = [];
    for (const exchange of missing) {
      const cell = servingCells(map, exchange, own)[replica];
      if (cell === undefined) without.push(exchange);
      else groups.set(cell, [...(groups.get(cell) ?? []), exchange]);
    }
    await Promise.all(
      [...groups].map(async ([cell, group]) => {
        try {
          answers.push(await ask(cell, group));
        } catch (error) {
          warnOf(`cell ${cell} did not answer for exchanges ${group.join(", ")}`, error);
          without.push(...group);
        }
      }),
    );
    missing = without;
    if (missing.length === 0) break;
  }
  return { answers, missing };
}

/** Every exchange of a map. */
export function allExchanges(map: ClusterMap): number[] {
  return Array.from({ length: map.exchangeCount }, (_, exchange) => exchange);
}
