import type { MapCell } from "../map/cluster-map.ts";

/** Which part of the work each cell is to have. */
export type Shares = {
  /** Replicas by cell, not rounded; a cell without weight has none. */
  readonly replicas: ReadonlyMap<string, number>;
  /** Those of them that are the primaries of their exchanges. */
  readonly primaries: ReadonlyMap<string, number>;
  /**
   * What the two replicas of an exchange are not to have in common. It is the location where there are two of them, else the host, else the cell. Who
   * says none of these stands alone.
   */
  readonly placeOf: (cell: string) => string;
};

/**
 * Shares in proportion to weights. A place has no more than one replica of each exchange, and what it cannot have goes to the others. So a cell that is alone in
 * its location has one of every exchange, whatever its weight: safety comes before balance.
 */
export function sharesOf(cells: readonly MapCell[], exchangeCount: number): Shares {
  const working = cells.filter((cell) => weightOf(cell) > 0);
  const placeOf = placeKindOf(working);
  const places = new Map<string, MapCell[]>();
  for (const cell of working) {
    const place = placeOf(cell);
    const inPlace = places.get(place);
    if (inPlace === undefined) places.set(place, [cell]);
    else inPlace.push(cell);
  }
  const groups = [...places.values()];
  const perPlace = divide(2 * exchangeCount, groups.map(weightOfAll), () => exchangeCount);
  const replicas = new Map<string, number>(cells.map(({ id }) => [id, 0]));
  for (const [index, group] of groups.entries()) {
    const whole = weightOfAll(group);
    for (const cell of group) replicas.set(cell.id, ((perPlace[index] ?? 0) * weightOf(cell)) / whole);
  }
  const inFirst = divide(exchangeCount, working.map(weightOf), (index) => replicas.get(working[index]?.id ?? "") ?? 0);
  const primaries = new Map<string, number>(cells.map(({ id }) => [id, 0]));
  for (const [index, { id }] of working.entries()) primaries.set(id, inFirst[index] ?? 0);
  const known = new Map(cells.map((cell) => [cell.id, placeOf(cell)]));
  return { replicas, primaries, placeOf: (cell) => known.get(cell) ?? `cell ${cell}` };
}

export function weightOf({ weight = 1 }: MapCell): number {
  return weight;
}

function weightOfAll(cells: readonly MapCell[]): number {
  return cells.reduce((sum, cell) => sum + weightOf(cell), 0);
}

/** The widest kind of place of which there are two. */
function placeKindOf(cells: readonly MapCell[]): (cell: MapCell) => string {
  return [locationOf, hostOf].find((kind) => new Set(cells.map(kind)).size > 1) ?? cellOf;
}

function locationOf(cell: MapCell): string {
  return cell.location === undefined ? hostOf(cell) : `location ${cell.location}`;
}

function hostOf(cell: MapCell): string {
  return cell.host === undefined ? cellOf(cell) : `host ${cell.host}`;
}

function cellOf({ id }: MapCell): string {
  return `cell ${id}`;
}

/** Divides a whole by weights. What is over somebody's maximum is divided among the rest; with all at theirs some is left over. */
function divide(whole: number, weights: readonly number[], mostOf: (index: number) => number): number[] {
  const parts = weights.map(() => 0);
  let open = weights.map((_, index) => index);
  let left = whole;
  while (open.length > 0) {
    const sum = open.reduce((total, index) => total + (weights[index] ?? 0), 0);
    const per = left / sum;
    const full = open.filter((index) => per * (weights[index] ?? 0) >= mostOf(index));
    if (full.length === 0) {
      for (const index of open) parts[index] = per * (weights[index] ?? 0);
      return parts;
    }
    for (const index of full) {
      parts[index] = mostOf(index);
      left -= mostOf(index);
    }
    open = open.filter((index) => !full.includes(index));
  }
  return parts;
}
