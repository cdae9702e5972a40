import { pairOf, type ClusterMap } from "../../sip/placement/cluster-map.ts";
import { askCell, servingCells } from "../cells.ts";
import type { MemberState } from "../core-group/core-group-object.ts";
import type { Environment } from "../environment.ts";
import { summaryOf, type CellSummary } from "./cell-share.ts";

/** The answer of `GET /api/status`: a contract, see `tandem status`. */
export type Status = {
  readonly cells: readonly { readonly id: string; readonly state: MemberState; readonly epoch: number }[];
  readonly gateways: readonly { readonly id: string; readonly state: MemberState }[];
  readonly registrations: number;
  readonly dialogs: number;
  /** How many cells carry the registrations, effectively: 2 of 2 when they are even, 1 when one has all, 0 when there are none. */
  readonly loadBalance: number;
  /** The first cell of the map that answers. */
  readonly coordinator: string;
};

/** Asks every cell. A cell that does not answer is down, and its exchanges are counted where their pair is. */
export async function statusOf(env: Environment, map: ClusterMap): Promise<Status> {
  const answers = await Promise.allSettled(map.cells.map(({ id }) => summaryFrom(env, map, id)));
  const summaries = new Map<string, CellSummary>();
  for (const answer of answers) if (answer.status === "fulfilled") summaries.set(answer.value.cell, answer.value);
  const registrationsByCell = new Map<string, number>();
  let registrations = 0;
  let dialogs = 0;
  for (let exchange = 0; exchange < map.exchangeCount; exchange += 1) {
    const counts = countsOf(map, summaries, exchange);
    const { primary } = pairOf(map, exchange);
    registrationsByCell.set(primary, (registrationsByCell.get(primary) ?? 0) + counts.registrations);
    registrations += counts.registrations;
    dialogs += counts.dialogs;
  }
  return {
    cells: map.cells.map(({ id }) => ({ id, state: summaries.has(id) ? "up" : "down", epoch: summaries.get(id)?.epoch ?? 0 })),
    gateways: gatewaysOf([...summaries.values()]),
    registrations,
    dialogs,
    loadBalance: loadBalanceOf([...registrationsByCell.values()]),
    coordinator: map.cells.find(({ id }) => summaries.has(id))?.id ?? env.CELL,
  };
}

/** The effective number of parts that a whole is divided in: 1 / sum of the squared shares, with 2 decimals; 0 when there is nothing. */
export function loadBalanceOf(parts: readonly number[]): number {
  const whole = parts.reduce((sum, part) => sum + part, 0);
  if (whole === 0) return 0;
  const squares = parts.reduce((sum, part) => sum + (part / whole) ** 2, 0);
  return Math.round(100 / squares) / 100;
}

function summaryFrom(env: Environment, map: ClusterMap, cell: string): Promise<CellSummary> {
  return cell === env.CELL ? summaryOf(env, map) : askCell<CellSummary>(env, map, cell, "/cell/summary");
}

function countsOf(
  map: ClusterMap,
  summaries: ReadonlyMap<string, CellSummary>,
  exchange: number,
): { readonly registrations: number; readonly dialogs: number } {
  for (const cell of servingCells(map, exchange)) {
    const counts = summaries.get(cell)?.exchanges.find((each) => each.exchange === exchange);
    if (counts !== undefined) return counts;
  }
  return { registrations: 0, dialogs: 0 };
}

const states: readonly MemberState[] = ["up", "suspect", "down"];

/** A gateway is as well as the cell that sees it best says: one that has lost its way to one cell still serves. */
function gatewaysOf(summaries: readonly CellSummary[]): { id: string; state: MemberState }[] {
  const best = new Map<string, MemberState>();
  for (const { gateways } of summaries) {
    for (const { id, state } of gateways) {
      const known = best.get(id);
      if (known === undefined || states.indexOf(state) < states.indexOf(known)) best.set(id, state);
    }
  }
  return [...best].map(([id, state]) => ({ id, state })).toSorted((left, right) => (left.id < right.id ? -1 : 1));
}
