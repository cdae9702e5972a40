import type { MapCell } from "../map/cluster-map.ts";
import type { WantedMap } from "../map/map-change.ts";
import type { View } from "./view.ts";

/** Why a change of the map is not made now, as a cell sees the others; undefined: nothing is against it. */
export function faultNow(view: Pick<View, "cells">, { cells, exchangeCount }: WantedMap, before: readonly MapCell[]): string | undefined {
  return (exchangeCount === undefined ? undefined : doublingNowFault(view)) ?? removalFault(view, cells ?? before);
}

/** Why exchanges are not doubled now, as a cell sees the others; undefined: nothing is against it. Each new one is to have two replicas at once. */
export function doublingNowFault({ cells }: Pick<View, "cells">): string | undefined {
  const down = cells.find(({ state }) => state === "down");
  if (down === undefined) return undefined;
  return `cell ${down.id} is down: exchanges are doubled while all cells are there, so that each has two replicas`;
}

/** Why these may not be all cells, as a cell sees the others now; undefined: nothing is against it. Each record is to stay in the memory of two cells. */
export function removalFault({ cells }: Pick<View, "cells">, wanted: readonly Pick<MapCell, "id">[]): string | undefined {
  const stays = new Set(wanted.map(({ id }) => id));
  const removed = cells.filter(({ id }) => !stays.has(id)).map(({ id }) => id);
  const up = cells.filter(({ id, state }) => stays.has(id) && state === "up").map(({ id }) => id);
  if (removed.length === 0 || up.length > 1) return undefined;
  const left = up.length === 0 ? "no other cell is up" : `only cell ${up.join("")} would be up`;
  return `cell ${removed.join(" and ")} stays: ${left}, and what changes would be in one memory`;
}
