import { exchangesMax } from "../limits.ts";
import type { Assignment, ClusterMap } from "./cluster-map.ts";
import { writerAdding } from "./map-version.ts";
import { assignmentsOf } from "./serving-cells.ts";

/**
 * The number of exchanges is doubled while the cluster runs: exchange k of n becomes k and k + n of 2n, for a name's hash is taken modulo their number. The
 * new one begins in the cells of the old one, its elder. So what it is to have is there already (docs/decisions/0043-exchanges-are-doubled-in-their-cells.md).
 */

/** How the exchanges of a map came to be more than there were at first. */
export type Doubled = {
  /** So many there were at first. */
  readonly first: number;
  /** The last doubling is not over: an exchange may still have what is its younger one's, or calls that began there. */
  readonly isUnderWay?: true;
};

/** What follows for a map when its exchanges are doubled. */
export function doubled(map: ClusterMap): Pick<ClusterMap, "exchangeCount" | "assignments" | "doubled"> {
  return multiplied(map, 2 * map.exchangeCount, firstCountOf(map));
}

/**
 * A map with as many exchanges as another one has, where that has more. Their number never falls, for tokens name them: where one side of a cut has doubled them,
 * and the other one has written the higher map, both are to count. All who do so make the same of it, in a version of its own just above the map's.
 */
export function withExchangesOf(map: ClusterMap, known: ClusterMap): ClusterMap {
  const { exchangeCount: count } = known;
  if (count <= map.exchangeCount || !isDoubledFrom(count, map.exchangeCount)) return map;
  const first = Math.min(firstCountOf(map), firstCountOf(known));
  return { ...map, ...multiplied(map, count, first), writer: writerAdding(map.writer, count) };
}

function multiplied(map: ClusterMap, exchangeCount: number, first: number): ReturnType<typeof doubled> {
  const before = assignmentsOf(map);
  const assignments = Array.from({ length: exchangeCount }, (_, exchange) => pairLike(before, exchange));
  return { exchangeCount, assignments, doubled: { first, isUnderWay: true } };
}

/** The pair of the one that it comes from. A cell that joins that one is told everything by its primary: nobody tells it of the younger one. */
function pairLike(before: readonly Assignment[], exchange: number): Assignment {
  const own = before[exchange];
  if (own !== undefined) return own;
  const elder = before[exchange % before.length];
  if (elder === undefined) throw new RangeError("a cluster map without exchanges");
  return { primary: elder.primary, secondary: elder.secondary };
}

/** Whether `count` is `from` doubled, once or more often, or as many. */
export function isDoubledFrom(count: number, from: number): boolean {
  return Number.isInteger(Math.log2(count / from)) && count >= from;
}

/** How many exchanges a map had at first. */
export function firstCountOf(map: Pick<ClusterMap, "exchangeCount" | "doubled">): number {
  return map.doubled?.first ?? map.exchangeCount;
}

/** The exchanges that an exchange has come from, the youngest first: of a map that was never doubled none has. */
export function eldersOf(map: Pick<ClusterMap, "exchangeCount" | "doubled">, exchange: number): number[] {
  const first = firstCountOf(map);
  const elders: number[] = [];
  for (let count = map.exchangeCount / 2; count >= first; count /= 2) {
    const elder = exchange % count;
    if (elder !== exchange && !elders.includes(elder)) elders.push(elder);
  }
  return elders;
}

/** Why the exchanges of a map cannot be doubled now; undefined: they can. */
export function doublingFault(map: ClusterMap): string | undefined {
  if (map.doubled?.isUnderWay === true) return `the exchanges are being doubled already, to ${map.exchangeCount}`;
  const count = 2 * map.exchangeCount;
  return count > exchangesMax ? `${count} exchanges are more than ${exchangesMax}` : undefined;
}
