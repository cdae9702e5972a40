import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { clusterMapSchema } from "../../schemas/cluster-map.ts";
import { read } from "../../schemas/reading.ts";

/** Whether it has the form of a map: it came over the network. */
export function isClusterMap(value: unknown): value is ClusterMap {
  return read(clusterMapSchema, value).value !== undefined;
}
