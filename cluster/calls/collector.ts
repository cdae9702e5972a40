import { singletonsOf } from "../group/singletons.ts";
import type { View } from "../group/view.ts";
import type { ClusterMap } from "../map/cluster-map.ts";
import { isNewer, type MapVersion } from "../map/map-version.ts";

/** Who has begun to collect call records, with the map that says so. */
export type Owner = {
  readonly cell: string;
  /** Orders the owners: who has heard of a later one refuses this one. */
  readonly since: MapVersion;
};

/** Who collects call records, as one cell sees it. */
export type Collector = Owner & {
  /** The other cells that live. The first one's ledger has a copy; none: there is none. */
  readonly others: readonly string[];
};

/** The first to do it, as the map says. The copy is at the cell behind that one in the map's order that is in service, or else at one that drains. */
export function collectorOf(map: ClusterMap, { cells }: View): Collector | undefined {
  const service = singletonsOf(map).find(({ name }) => name === "call-records");
  const cell = service?.owners[0];
  if (service === undefined || cell === undefined) return undefined;
  const at = cells.findIndex(({ id }) => id === cell);
  const inOrder = [...cells.slice(at + 1), ...cells.slice(0, Math.max(at, 0))];
  const others = inOrder.filter(({ id }) => id !== cell);
  // The copy is not where one is about to leave, if it can be elsewhere.
  const live = [...others.filter(({ state }) => state === "up"), ...others.filter(({ state }) => state === "draining")];
  return { cell, since: service.since, others: live.map(({ id }) => id) };
}

/** Before anybody has collected. */
export const nobodyYet: Owner = { cell: "", since: { epoch: -1, writer: "" } };

/** Whether an owner has been replaced by another one that is known. */
export function isFormer(owner: Owner, known: Owner): boolean {
  return isNewer(known.since, owner.since);
}
