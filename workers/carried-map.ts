import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { carriedMapSchema } from "../schemas/cluster-map.ts";
import { faultText, read } from "../schemas/reading.ts";

/** A map as cells tell each other; undefined: it is none. */
export function carriedMapOf(value: unknown): ClusterMap | undefined {
  return read(carriedMapSchema, value).value;
}

/** Why other cells would not take a map, by its form; undefined: they would. It is looked at as it comes to them. */
export function formFaultOf(map: ClusterMap): string | undefined {
  const { fault } = read(carriedMapSchema, JSON.parse(JSON.stringify(map)));
  return fault === undefined ? undefined : faultText(fault);
}
