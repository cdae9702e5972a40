import { pairOf, type Assignment, type ClusterMap } from "./cluster-map.ts";

/**
 * The cells that may serve an exchange, in the order to try them. One's own comes first when it is one of the pair, then the primary, then the other.
 * Replicas share their records, so the nearest is the best; without replication only the primary knows anything.
 */
export function servingCells(map: ClusterMap, exchange: number, own?: string): readonly string[] {
  const { primary, secondary } = pairOf(map, exchange);
  if (primary === secondary) return [primary];
  return own === secondary && isReplicated(map) ? [secondary, primary] : [primary, secondary];
}

/** Whether the two replicas of an exchange keep each other's records. */
export function isReplicated(map: ClusterMap): boolean {
  return map.cells.length > 1 && map.replication.enabled !== false;
}

/** Whether a cell has a replica of an exchange. */
export function hasReplica(map: ClusterMap, exchange: number, cell: string): boolean {
  const { primary, secondary } = pairOf(map, exchange);
  return cell === primary || cell === secondary;
}

/** Whether a cell is in the map, or was. */
export function isKnownCell({ cells, former = [] }: ClusterMap, cell: string): boolean {
  return cells.some(({ id }) => id === cell) || former.includes(cell);
}

/** The cell of the other replica of an exchange; undefined: `cell` has no replica of it, or the only one. */
export function otherReplicaOf(map: ClusterMap, exchange: number, cell: string): string | undefined {
  const { primary, secondary } = pairOf(map, exchange);
  if (!isReplicated(map) || primary === secondary || (cell !== primary && cell !== secondary)) return undefined;
  return primary === cell ? secondary : primary;
}

/** The exchanges that have a replica in a cell. */
export function exchangesIn(map: ClusterMap, cell: string): number[] {
  const exchanges: number[] = [];
  for (let exchange = 0; exchange < map.exchangeCount; exchange += 1) {
    if (hasReplica(map, exchange, cell)) exchanges.push(exchange);
  }
  return exchanges;
}

/** The exchanges that have a replica in a cell, or are to have one. */
export function placesIn(map: ClusterMap, cell: string): number[] {
  const joining = (map.assignments ?? []).flatMap((assignment, exchange) => (assignment.joining === cell ? [exchange] : []));
  return [...new Set([...exchangesIn(map, cell), ...joining])];
}

/** Which cells have the replicas of each exchange, written out. */
export function assignmentsOf(map: ClusterMap): Assignment[] {
  return Array.from({ length: map.exchangeCount }, (_, exchange) => pairOf(map, exchange));
}
