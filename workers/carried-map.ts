import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { carriedMapSchema } from "../schemas/cluster-map.ts";
import { read } from "../schemas/reading.ts";

/** A map as cells tell each other; undefined: it is none. */
export function carriedMapOf(value: unknown): ClusterMap | undefined {
  return read(carriedMapSchema, value).value;
}
