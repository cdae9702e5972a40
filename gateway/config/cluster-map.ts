import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { clusterMapSchema } from "../../schemas/cluster-map.ts";
import { read } from "../../schemas/reading.ts";
import { exchangesMax } from "../limits.ts";

/** Whether it is a map, of no more exchanges than a gateway has room for: it came over the network. */
export function isClusterMap(value: unknown): value is ClusterMap {
  const { value: map } = read(clusterMapSchema, value);
  return map !== undefined && map.exchangeCount <= exchangesMax;
}
