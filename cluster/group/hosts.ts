import type { ClusterMap } from "../map/cluster-map.ts";
import { memberOf } from "../map/members.ts";

/** A machine of which nothing is up, and what ran there. */
export type GoneHost = { readonly host: string; readonly cells: readonly string[]; readonly gateways: readonly string[] };

type Seen = { readonly id: string; readonly state: string };

/** The machine that a cell or a gateway runs on; undefined: nobody knows. */
export function hostOf(map: ClusterMap, id: string): string | undefined {
  return memberOf(map, id)?.host ?? map.cells.find((cell) => cell.id === id)?.host;
}

/**
 * Machines that are gone as a whole, as the members are seen: each cell and gateway of theirs is down, and one of them has not left in order. A gateway that
 * nobody has seen is down. Without an authority the map says of cells alone where they are.
 */
export function goneHosts(map: ClusterMap, cells: readonly Seen[], gateways: readonly Seen[]): GoneHost[] {
  const known = (map.members ?? []).filter(({ id, kind }) => kind === "gateway" && memberOf(map, id) !== undefined);
  const all = [
    ...cells.map(({ id, state }) => ({ id, kind: "cell", state, host: hostOf(map, id) })),
    ...known.map(({ id, host }) => ({ id, kind: "gateway", host, state: gateways.find((each) => each.id === id)?.state ?? "down" })),
  ];
  const hosts = Map.groupBy(all, ({ host }) => host ?? "");
  return Array.from(hosts, ([host, of]) => ({ host, of }))
    .filter(({ host, of }) => host !== "" && of.every(({ state }) => isDown(state)) && of.some(({ state }) => state === "down"))
    .map(({ host, of }) => {
      const idsOf = (kind: string): string[] => of.filter((each) => each.kind === kind).map(({ id }) => id);
      return { host, cells: idsOf("cell"), gateways: idsOf("gateway") };
    })
    .toSorted((one, other) => (one.host < other.host ? -1 : 1));
}

function isDown(state: string): boolean {
  return state === "down" || state === "left";
}
