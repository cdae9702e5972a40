import { firstPairOf, pairOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { firstCountOf } from "../../cluster/map/doubling.ts";
import { hasReplica, isReplicated, otherReplicaOf } from "../../cluster/map/serving-cells.ts";

/** What a map says of an exchange in one cell. */
export type Place = {
  /**
   * - `replica`: the cell has a replica.
   * - `joining`: it is to have one, and is told all that the primary has. Nobody is served there yet.
   * - `none`: it had one. Nobody is served there any more, and what is left is for the primary.
   */
  readonly role: "replica" | "joining" | "none";
  /** The cell of the other replica, or of the primary where there is none here; undefined: this is the only one. */
  readonly peer: string | undefined;
  /** The cell that the primary, which this is, tells all that it has; undefined: none. */
  readonly joining: string | undefined;
};

/** Whether a replica is in a cell only because the map was changed: it is to be told everything by who had it before. */
export function wasMoved(map: ClusterMap, exchange: number, cell: string): boolean {
  if (map.assignments === undefined || !hasReplica(map, exchange, cell)) return false;
  // One that was made by doubling began where its elder was.
  const { primary, secondary } = firstPairOf(map, exchange % firstCountOf(map));
  return cell !== primary && cell !== secondary;
}

export function placeIn(map: ClusterMap, exchange: number, cell: string): Place {
  const { primary, joining } = pairOf(map, exchange);
  if (hasReplica(map, exchange, cell)) {
    const feeds = cell === primary && isReplicated(map);
    return { role: "replica", peer: otherReplicaOf(map, exchange, cell), joining: feeds ? joining : undefined };
  }
  return { role: cell === joining && isReplicated(map) ? "joining" : "none", peer: primary, joining: undefined };
}
