import type { MemberStatus } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import type { Status } from "../../schemas/api-answers.ts";
import { callCell } from "../cells.ts";
import { coreGroupName, type Environment } from "../environment.ts";
import { summaryAnswerMsMax, suspectAnswerMsMax } from "../limits.ts";
import { summaryOf, type CellSummary } from "./cell-share.ts";

type MemberOfStatus = Status["gateways"][number];

/** Asks every cell that may answer for what it holds; its exchanges are counted where their peer is when it does not. */
export async function statusOf(env: Environment, map: ClusterMap): Promise<Status> {
  const group = env.CORE_GROUP.getByName(coreGroupName);
  const before = await group.status();
  const asked = before.cells.filter(({ state }) => state !== "down");
  const answers = await Promise.allSettled(
    asked.map(({ id, suspicion }) => summaryFrom(env, map, id, suspicion === undefined ? summaryAnswerMsMax : suspectAnswerMsMax)),
  );
  const summaries = new Map<string, CellSummary>();
  for (const answer of answers) if (answer.status === "fulfilled") summaries.set(answer.value.cell, answer.value);
  const registrationsByCell = new Map<string, number>();
  let registrations = 0;
  let dialogs = 0;
  for (let exchange = 0; exchange < map.exchangeCount; exchange += 1) {
    const counts = countsOf(map, summaries, exchange);
    if (counts === undefined) continue;
    registrationsByCell.set(counts.cell, (registrationsByCell.get(counts.cell) ?? 0) + counts.registrations);
    registrations += counts.registrations;
    dialogs += counts.dialogs;
  }
  // Asked again: the cells took their time, and a failure may have been found in it.
  const { cells, gateways, view, settings, history, shedding, tallies } = await group.status();
  return {
    cells: cells.map(({ epoch, ...member }) => {
      const softphonesLeft = member.state === "draining" ? summaries.get(member.id)?.softphonesLeft : undefined;
      return {
        ...memberOf(member),
        epoch,
        ...(view.isFenced && member.id === view.cell ? { isFenced: true } : {}),
        ...(summaries.get(member.id)?.isDiskFull === true ? { isDiskFull: true } : {}),
        ...(softphonesLeft === undefined ? {} : { softphonesLeft }),
      };
    }),
    gateways: gateways.map((gateway) => {
      const refused = shedding[gateway.id];
      return { ...memberOf(gateway), ...(refused === undefined ? {} : { refused }), ...tallies[gateway.id] };
    }),
    registrations,
    dialogs,
    loadBalance: loadBalanceOf([...registrationsByCell.values()]),
    coordinator: view.coordinator,
    heartbeat: settings.heartbeat,
    signaturesRefused: [...summaries.values()].reduce((sum, { signaturesRefused }) => sum + signaturesRefused, 0),
    history,
  };
}

/** The effective number of parts that a whole is divided in: 1 / sum of the squared shares, with 2 decimals; 0 when there is nothing. */
export function loadBalanceOf(parts: readonly number[]): number {
  const whole = parts.reduce((sum, part) => sum + part, 0);
  if (whole === 0) return 0;
  const squares = parts.reduce((sum, part) => sum + (part / whole) ** 2, 0);
  return Math.round(100 / squares) / 100;
}

async function summaryFrom(env: Environment, map: ClusterMap, cell: string, timeoutMs: number): Promise<CellSummary> {
  if (cell === env.CELL) return await summaryOf(env, map);
  const octets = await callCell(env, map, cell, "/cell/summary", undefined, timeoutMs);
  return JSON.parse(new TextDecoder().decode(octets)) as CellSummary;
}

function memberOf({ id, state, heardMs, missed, suspicion }: MemberStatus): Omit<MemberOfStatus, "refused"> {
  return {
    id,
    state,
    ...(heardMs === undefined ? {} : { heardMs }),
    ...(missed === 0 ? {} : { missed }),
    ...(suspicion === undefined ? {} : { suspicion }),
  };
}

/** What an exchange holds, and the cell that serves it: its primary, or the other one while that does not answer. Undefined: neither does. */
function countsOf(
  map: ClusterMap,
  summaries: ReadonlyMap<string, CellSummary>,
  exchange: number,
): { readonly cell: string; readonly registrations: number; readonly dialogs: number } | undefined {
  for (const cell of servingCells(map, exchange)) {
    const counts = summaries.get(cell)?.exchanges.find((each) => each.exchange === exchange);
    if (counts !== undefined) return { cell, registrations: counts.registrations, dialogs: counts.dialogs };
  }
  return undefined;
}
