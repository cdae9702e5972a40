/** One exchange goes from one cell to another: its replica, or the work of its primary. */
export type Hop = { readonly exchange: number; readonly from: string; readonly to: string };

/** Two cells of which one is further over its share than the other by more than one: it can give one away. */
export type Gap = { readonly over: string; readonly under: string; readonly by: number };

/** The widest first. `overOf`: by how much a cell is over its share. */
export function widestGaps(cells: readonly string[], overOf: (cell: string) => number): Gap[] {
  const overs = cells.map((cell) => [cell, overOf(cell)] as const);
  const gaps = overs.flatMap(([over, most]) => overs.map(([under, least]) => ({ over, under, by: most - least })));
  return gaps.filter(({ by }) => by > 1 + tolerance).toSorted((one, other) => other.by - one.by);
}

/** The best exchange that can go from one cell to another, for each two cells. */
export class Hops {
  readonly #from = new Map<string, Map<string, Hop & { readonly cost: number }>>();

  offer(hop: Hop, cost: number): void {
    const from = this.#from.get(hop.from) ?? new Map<string, Hop & { readonly cost: number }>();
    const best = from.get(hop.to);
    if (best === undefined || cost < best.cost) from.set(hop.to, { ...hop, cost });
    this.#from.set(hop.from, from);
  }

  /**
   * The fewest hops by which one cell has one less and another has one more. Cells between have as many as before. Undefined: there is no way. The
   * last hop comes first: so nobody has more than before on the way.
   */
  chain(from: string, to: string): readonly Hop[] | undefined {
    const reached = new Map<string, readonly Hop[]>([[from, []]]);
    for (const [cell, hops] of reached) {
      for (const [next, hop] of this.#from.get(cell) ?? []) {
        if (reached.has(next) || hops.some(({ exchange }) => exchange === hop.exchange)) continue;
        const chain = [hop, ...hops];
        if (next === to) return chain;
        reached.set(next, chain);
      }
    }
    return undefined;
  }
}

/** Shares are divided, and what is divided is not exact. */
export const tolerance = 1e-9;
