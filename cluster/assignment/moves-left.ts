import type { Assignment, MapCell } from "../map/cluster-map.ts";
import { balance, type Standing } from "./balance.ts";
import { finalPairOf } from "./draft.ts";
import { weightOf } from "./shares.ts";

/** What the coordinator has yet to do, as far as the map shows it. */
export type Left = {
  /** Replicas that are on their way, and those that will be moved after them. */
  readonly moves: number;
  /** Nothing is to be done: neither a move nor another primary. */
  readonly isSettled: boolean;
};

/** More steps than any map takes. */
const stepsMax = 10_000;

/** Goes through the steps that the coordinator will take while all stays as it is. */
export function movesLeft(cells: readonly MapCell[], assignments: readonly Assignment[], standingOf: (cell: string) => Standing): Left {
  const before = assignments.filter(({ joining }) => joining !== undefined).length;
  let [now, begun, steps] = [assignments, 0, 0];
  for (; steps < stepsMax; steps += 1) {
    const joined = new Set(now.flatMap(({ joining }, exchange) => (joining === undefined ? [] : [exchange])));
    const next = balance({ cells, assignments: now, standingOf, single: new Set(), joined, copies: true });
    if (next === undefined) break;
    begun += next.filter(({ joining }, exchange) => joining !== undefined && now[exchange]?.joining !== joining).length;
    now = next;
  }
  return { moves: before + begun, isSettled: steps === 0 };
}

/** Replicas that are, or will be, in cells where they were not. */
export function movedBetween(before: readonly Assignment[], after: readonly Assignment[]): number {
  let moved = 0;
  for (const [exchange, assignment] of after.entries()) {
    const earlier = before[exchange];
    const had: readonly string[] = earlier === undefined ? [] : finalPairOf(earlier);
    moved += finalPairOf(assignment).filter((cell) => !had.includes(cell)).length;
  }
  return moved;
}

/** Replicas that a cell has, or will have, and had not. Another one may have been added at the same time, and has its own. */
export function movedTo(cell: string, before: readonly Assignment[], after: readonly Assignment[]): number {
  const isIn = (assignment: Assignment | undefined): boolean => assignment !== undefined && finalPairOf(assignment).includes(cell);
  return after.filter((assignment, exchange) => isIn(assignment) && !isIn(before[exchange])).length;
}

/** What each cell has, and how many replicas would be its even part by the weights of all. */
export function sharesNow(
  cells: readonly MapCell[],
  assignments: readonly Assignment[],
  cell: string,
): { readonly replicas: number; readonly primaries: number; readonly even: number } {
  const whole = cells.reduce((sum, each) => sum + weightOf(each), 0);
  const own = cells.find(({ id }) => id === cell);
  return {
    replicas: assignments.filter(({ primary, secondary }) => primary === cell || secondary === cell).length,
    primaries: assignments.filter(({ primary }) => primary === cell).length,
    even: own === undefined || whole === 0 ? 0 : (2 * assignments.length * weightOf(own)) / whole,
  };
}
