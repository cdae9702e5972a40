import { exchangeStates, riskText } from "../../cluster/group/exchange-states.ts";
import { goneHosts, hostOf } from "../../cluster/group/hosts.ts";
import type { MemberStatus } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { shownState } from "../../cluster/map/gateways.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import type { Status } from "../../schemas/api-answers.ts";
import { coreGroupObject, type Environment } from "../environment.ts";
import { within } from "../cells.ts";
import { cellAnswerMsMax } from "../limits.ts";
import type { CellSummary } from "./cell-share.ts";
import { doublingIn } from "./doubling.ts";
import { lateCells, replicasOf, summariesOf } from "./summaries.ts";

type MemberOfStatus = Status["gateways"][number];

/** Asks every cell that may answer for what it holds; its exchanges are counted where their peer is when it does not. */
export async function statusOf(env: Environment, map: ClusterMap): Promise<Status> {
  const group = coreGroupObject(env);
  const before = await within(Promise.resolve(group.status()), cellAnswerMsMax);
  const summaries = await summariesOf(env, map, before.cells);
  const registrationsByCell = new Map<string, number>();
  const uncounted: number[] = [];
  let registrations = 0;
  let dialogs = 0;
  for (let exchange = 0; exchange < map.exchangeCount; exchange += 1) {
    const counts = countsOf(map, summaries, exchange);
    if (counts === undefined) {
      uncounted.push(exchange);
      continue;
    }
    registrationsByCell.set(counts.cell, (registrationsByCell.get(counts.cell) ?? 0) + counts.registrations);
    registrations += counts.registrations;
    dialogs += counts.dialogs;
  }
  // Asked again: the cells took their time, and a failure may have been found in it.
  const after = await within(Promise.resolve(group.status()), cellAnswerMsMax).catch(() => before);
  const { cells, gateways, view, map: newest, doubling, history, shedding, tallies } = after;
  const late = lateCells(cells, summaries);
  const exchanges = exchangeStates(map, replicasOf(summaries), late);
  const gone = goneHosts(newest, cells, gateways);
  return {
    cells: cells.map(({ epoch, delayMs, hindrance, ...member }) => {
      const softphonesLeft = member.state === "draining" ? summaries.get(member.id)?.softphonesLeft : undefined;
      return {
        ...memberOf(newest, member),
        epoch,
        ...(delayMs === undefined ? {} : { delayMs: Math.round(delayMs * 10) / 10 }),
        ...(hindrance === undefined ? {} : { hindrance }),
        ...codeIn(summaries.get(member.id)),
        ...standingIn(summaries.get(member.id), member.state),
        ...(view.isFenced && member.id === view.cell ? { isFenced: true } : {}),
        ...(late.has(member.id) ? { isLate: true } : {}),
        ...(summaries.get(member.id)?.isDiskFull === true ? { isDiskFull: true } : {}),
        ...(softphonesLeft === undefined ? {} : { softphonesLeft }),
      };
    }),
    gateways: gateways.map((gateway) => {
      const refused = shedding[gateway.id];
      const state = shownState(newest, gateway);
      return { ...memberOf(newest, { ...gateway, state }), ...(refused === undefined ? {} : { refused }), ...tallies[gateway.id] };
    }),
    ...(gone.length === 0 ? {} : { gone }),
    registrations,
    dialogs,
    ...(uncounted.length === 0 ? {} : { uncounted }),
    loadBalance: loadBalanceOf([...registrationsByCell.values()]),
    coordinator: view.coordinator,
    exchanges,
    ...doublingIn(doubling),
    risk: riskText(exchanges, [...summaries.keys()].toSorted()),
    heartbeat: newest.heartbeat,
    signaturesRefused: [...summaries.values()].reduce((sum, { signaturesRefused }) => sum + signaturesRefused, 0),
    history,
  };
}

function codeIn({ code, otherCode }: Partial<CellSummary> = {}): Pick<Status["cells"][number], "code" | "otherCode"> {
  return { ...(code === undefined ? {} : { code }), ...(otherCode === undefined ? {} : { otherCode }) };
}

/** What a cell is in its own eyes, and who may not know. */
function standingIn(
  { state, unheardBy }: Partial<CellSummary> = {},
  seen: MemberStatus["state"],
): Pick<Status["cells"][number], "ownState" | "unheardBy"> {
  return {
    ...(state === undefined || state === seen ? {} : { ownState: state }),
    ...(unheardBy === undefined ? {} : { unheardBy: [...unheardBy] }),
  };
}

/** The effective number of parts that a whole is divided in: 1 / sum of the squared shares, with 2 decimals; 0 when there is nothing. */
export function loadBalanceOf(parts: readonly number[]): number {
  const whole = parts.reduce((sum, part) => sum + part, 0);
  if (whole === 0) return 0;
  const squares = parts.reduce((sum, part) => sum + (part / whole) ** 2, 0);
  return Math.round(100 / squares) / 100;
}

/** A member as a status has it. */
export function memberOf<State>(
  map: ClusterMap,
  { id, state, heardMs, missed, suspicion }: Omit<MemberStatus, "state"> & { readonly state: State },
): Omit<MemberOfStatus, "refused" | "state"> & { readonly state: State } {
  const host = hostOf(map, id);
  return {
    id,
    state,
    ...(host === undefined ? {} : { host }),
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
