import { formerCellsMax } from "../limits.ts";
import type { Assignment, ClusterMap, MapCell } from "./cluster-map.ts";
import { doublingFault } from "./doubling.ts";
import { assignmentsOf } from "./serving-cells.ts";
import { unsoundness } from "./sound-map.ts";

/** What the operator may want another in the map. What is absent stays. */
export type WantedMap = {
  readonly cells?: readonly MapCell[];
  readonly assignments?: readonly Assignment[];
  /** Twice as many as there are, and nothing else with it. */
  readonly exchangeCount?: number;
};

/** What is wrong with a change of a map; undefined: nothing. */
export function faultOf(map: ClusterMap, wanted: WantedMap): string | undefined {
  const { exchangeCount } = wanted;
  if (exchangeCount === undefined) return faultOfPlaces(map, wanted);
  const before = map.exchangeCount;
  if (exchangeCount !== 2 * before) return `there are ${before} exchanges: they can be doubled to ${2 * before}, and nothing else`;
  if (wanted.cells !== undefined || wanted.assignments !== undefined)
    return "exchanges are doubled in the cells where they are: change those before or after";
  return doublingFault(map);
}

/** Only what is wanted another: who wants it may have an older version, which is not this one's fault. */
function faultOfPlaces(map: ClusterMap, { cells, assignments }: WantedMap): string | undefined {
  const places = { ...(cells === undefined ? {} : withCells(map, cells)), ...(assignments === undefined ? {} : { assignments }) };
  return unsoundness({ ...map, ...places }, map);
}

/**
 * What follows for the map when its cells are these. Where nothing was assigned the places followed from the cells. They are written out, or each exchange
 * would be somewhere else at once. In a map of one cell each exchange gets its second replica in one of the others.
 */
export function withCells(map: ClusterMap, cells: readonly MapCell[]): Following {
  const before = map.cells.map(({ id }) => id);
  const after = cells.map(({ id }) => id);
  if (before.length === after.length && before.every((id, index) => id === after[index])) return { cells };
  const removed = before.filter((id) => !after.includes(id));
  const formerUrls = urlsGone(map, cells);
  const former = [...(map.former ?? []), ...removed].filter((id) => !after.includes(id)).slice(-formerCellsMax);
  return {
    cells,
    assignments: assignmentsOf(map).map((assignment, exchange) => inPair(assignment, after, exchange)),
    founders: (map.founders ?? before).map((id) => (after.includes(id) ? id : "")),
    ...(former.length === 0 && map.former === undefined ? {} : { former }),
    ...(formerUrls.length === 0 && map.formerUrls === undefined ? {} : { formerUrls }),
  };
}

type Following = Pick<ClusterMap, "cells" | "assignments" | "founders" | "former" | "formerUrls">;

/** Where the cells were that are removed now or were before. One that is added again where it was is there. */
function urlsGone(map: ClusterMap, cells: readonly MapCell[]): readonly Pick<MapCell, "id" | "url">[] {
  const removed = map.cells.filter(({ id }) => cells.every((cell) => cell.id !== id)).map(({ id, url }) => ({ id, url }));
  const all = [...(map.formerUrls ?? []).filter((each) => !removed.some((other) => isSamePlace(each, other))), ...removed];
  return all.filter((each) => !cells.some((cell) => isSamePlace(cell, each))).slice(-formerCellsMax);
}

function isSamePlace(one: Pick<MapCell, "id" | "url">, other: Pick<MapCell, "id" | "url">): boolean {
  return one.id === other.id && one.url === other.url;
}

function inPair(assignment: Assignment, cells: readonly string[], exchange: number): Assignment {
  const { primary, secondary } = assignment;
  const others = cells.filter((id) => id !== primary);
  const other = primary === secondary ? others[exchange % others.length] : undefined;
  return other === undefined ? assignment : { primary, secondary: other };
}

/** The cells with one more. */
export function cellAdded(map: Pick<ClusterMap, "cells">, cell: MapCell): readonly MapCell[] {
  return [...map.cells, cell];
}

/** The cells, of which one is to have another share beside the others. */
export function cellWeighed(map: Pick<ClusterMap, "cells">, cell: string, weight: number): readonly MapCell[] {
  return map.cells.map((each) => (each.id === cell ? { ...each, weight } : each));
}

/** The cells, of which one is to have no replica any more: the coordinator gives what it has to the others. */
export function cellLeaving(map: Pick<ClusterMap, "cells">, cell: string): readonly MapCell[] {
  return cellWeighed(map, cell, 0);
}

/** Why a cell does not get this weight; undefined: nothing is against it. Each record is to stay in two cells. */
export function weighingFault({ cells }: Pick<ClusterMap, "cells">, cell: string, weight: number): string | undefined {
  if (cells.every(({ id }) => id !== cell)) return `there is no cell ${cell}`;
  const others = cells.filter(({ id, weight: ofOther = 1 }) => id !== cell && ofOther > 0);
  if (weight > 0 || others.length > 1) return undefined;
  return `cell ${cell} keeps its weight: ${others.length === 0 ? "no other cell has one" : `only cell ${others[0]?.id ?? ""} would have one`}`;
}

/** The cells without one. A map that has a replica in it is not sound: it leaves first ({@link cellLeaving}). */
export function cellRemoved(map: Pick<ClusterMap, "cells">, cell: string): readonly MapCell[] {
  return map.cells.filter(({ id }) => id !== cell);
}
