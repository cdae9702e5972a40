import { pairOf, type ClusterMap } from "./cluster-map.ts";

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

/** The exchanges that have a replica in a cell. */
export function exchangesIn(map: ClusterMap, cell: string): number[] {
  const exchanges: number[] = [];
  for (let exchange = 0; exchange < map.exchangeCount; exchange += 1) {
    const { primary, secondary } = pairOf(map, exchange);
    if (primary === cell || secondary === cell) exchanges.push(exchange);
  }
  return exchanges;
}
