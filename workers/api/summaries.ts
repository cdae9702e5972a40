import type { ReplicasOfCell } from "../../cluster/group/exchange-states.ts";
import type { MemberStatus } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { callCell } from "../cells.ts";
import type { Environment } from "../environment.ts";
import { summaryAnswerMsMax, suspectAnswerMsMax } from "../limits.ts";
import { summaryOf, type CellSummary } from "./cell-share.ts";

/** What every cell that may answer says of itself, by cell. */
export async function summariesOf(
  env: Environment,
  map: ClusterMap,
  cells: readonly MemberStatus[],
): Promise<ReadonlyMap<string, CellSummary>> {
  const asked = cells.filter(({ state }) => state !== "down");
  const answers = await Promise.allSettled(
    asked.map(({ id, suspicion }) => summaryFrom(env, map, id, suspicion === undefined ? summaryAnswerMsMax : suspectAnswerMsMax)),
  );
  const summaries = new Map<string, CellSummary>();
  for (const answer of answers) if (answer.status === "fulfilled") summaries.set(answer.value.cell, answer.value);
  return summaries;
}

/** Cells that may answer, and have not in time: what they have is not known. */
export function lateCells(cells: readonly MemberStatus[], summaries: ReadonlyMap<string, CellSummary>): ReadonlySet<string> {
  return new Set(cells.filter(({ id, state }) => state !== "down" && !summaries.has(id)).map(({ id }) => id));
}

/** What the answers say of replicas. A cell of an earlier release does not say which of them are alone. */
export function replicasOf(summaries: ReadonlyMap<string, CellSummary>): ReadonlyMap<string, ReplicasOfCell> {
  const replicas = new Map<string, ReplicasOfCell>();
  for (const [cell, { exchanges, lone = [], silent = [] }] of summaries) {
    replicas.set(cell, {
      serving: new Set(exchanges.map(({ exchange }) => exchange)),
      lone: new Map(lone.map(({ exchange, cause }) => [exchange, cause])),
      silent: new Set(silent),
    });
  }
  return replicas;
}

async function summaryFrom(env: Environment, map: ClusterMap, cell: string, timeoutMs: number): Promise<CellSummary> {
  if (cell === env.CELL) return await summaryOf(env, map);
  const octets = await callCell(env, map, cell, "/cell/summary", undefined, timeoutMs);
  return JSON.parse(new TextDecoder().decode(octets)) as CellSummary;
}
