import type { Assignment } from "../map/cluster-map.ts";

/** The two cells that an exchange will have when what is under way is done. */
export function finalPairOf({ primary, secondary, joining }: Assignment): readonly [primary: string, secondary: string] {
  return [primary, joining ?? secondary];
}

/** Assignments that are being changed, with what is counted of them. */
export class Draft {
  readonly #assignments: Assignment[];
  readonly #replicas = new Map<string, number>();
  readonly #primaries = new Map<string, number>();
  /** How many exchanges two cells have in common. */
  readonly #common = new Map<string, number>();
  readonly #changed = new Set<number>();

  constructor(assignments: readonly Assignment[]) {
    this.#assignments = [...assignments];
    for (const assignment of assignments) this.#count(assignment, 1);
  }

  /** Exchanges that have another assignment now. */
  get changed(): ReadonlySet<number> {
    return this.#changed;
  }

  get assignments(): readonly Assignment[] {
    return this.#assignments;
  }

  /** Replicas that a cell will have. */
  replicasOf(cell: string): number {
    return this.#replicas.get(cell) ?? 0;
  }

  primariesOf(cell: string): number {
    return this.#primaries.get(cell) ?? 0;
  }

  /** How many exchanges two cells will have in common. */
  inCommon(one: string, other: string): number {
    return this.#common.get(keyOf(one, other)) ?? 0;
  }

  set(exchange: number, assignment: Assignment): void {
    const before = this.#assignments[exchange];
    if (before !== undefined) this.#count(before, -1);
    this.#assignments[exchange] = assignment;
    this.#count(assignment, 1);
    this.#changed.add(exchange);
  }

  #count(assignment: Assignment, by: number): void {
    const [one, other] = finalPairOf(assignment);
    for (const cell of [one, other]) this.#replicas.set(cell, this.replicasOf(cell) + by);
    this.#common.set(keyOf(one, other), this.inCommon(one, other) + by);
    this.#primaries.set(assignment.primary, this.primariesOf(assignment.primary) + by);
  }
}

function keyOf(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}
