import { Hono } from "hono";
import type { GroupStatus } from "../../cluster/group/group-effects.ts";
import { hostOf } from "../../cluster/group/hosts.ts";
import { policyText, singletonsOf } from "../../cluster/group/singletons.ts";
import { shownState } from "../../cluster/map/gateways.ts";
import { exchangeStates } from "../../cluster/group/exchange-states.ts";
import { healAfterMs as healAfterMsDefault } from "../../cluster/limits.ts";
import { weightOf } from "../../cluster/assignment/shares.ts";
import type { Group, GroupSettingsAnswer } from "../../schemas/api-answers.ts";
import { groupBodySchema } from "../../schemas/api-bodies.ts";
import { faultText, read } from "../../schemas/reading.ts";
import { coreGroupObject, type Environment } from "../environment.ts";
import { settingsOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { jsonOf } from "./json-body.ts";
import type { CellSummary } from "./cell-share.ts";
import { doublingIn } from "./doubling.ts";
import { lateCells, replicasOf, summariesOf } from "./summaries.ts";
import { byCoordinator } from "./wishes.ts";

/** `/api/group`: members, services and exchanges. `PUT` changes what the operator wants of the group: any cell takes it, and passes it on. */
export const groupApi = new Hono<Signed>();

groupApi.use(signed(() => "api", settingsOctetsMax));

groupApi.get("/", async (context) => context.json(await groupOf(context.env)));

groupApi.put("/", async (context) => {
  const { env } = context;
  const { value, fault } = read(groupBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const { map } = await coreGroupObject(env).status();
  const unknown = value.preferred?.find((each) => !map.cells.some(({ id }) => id === each));
  if (unknown !== undefined) return context.json({ error: `there is no cell ${unknown}` }, 404);
  const outcome = await byCoordinator(env, "/cell/group", value, async (group) => await group.changeGroup(value));
  if ("error" in outcome) return context.json({ error: outcome.error }, outcome.status);
  const { preferred = [], healAfterMs = healAfterMsDefault } = { ...map, ...value };
  return context.json({ preferred, healAfterMs } satisfies GroupSettingsAnswer);
});

async function groupOf(env: Environment): Promise<Group> {
  const status: GroupStatus = await coreGroupObject(env).status();
  const summaries = await summariesOf(env, status.map, status.cells);
  const { view, map } = status;
  const exchanges = exchangeStates(map, replicasOf(summaries), lateCells(status.cells, summaries));
  return {
    coordinator: view.coordinator,
    epoch: view.epoch,
    map: { version: map.version, writer: map.writer ?? "" },
    preferred: map.preferred ?? [],
    healAfterMs: map.healAfterMs ?? healAfterMsDefault,
    members: [
      ...map.cells.map((cell, index) => ({
        id: cell.id,
        kind: "cell" as const,
        state: view.cells[index]?.state ?? "down",
        ...(cell.host === undefined ? {} : { host: cell.host }),
        ...(cell.location === undefined ? {} : { location: cell.location }),
        weight: weightOf(cell),
        primaries: exchanges.filter(({ primary }) => primary === cell.id).length,
        replicas: exchanges.filter(({ primary, secondary }) => primary === cell.id || secondary === cell.id).length,
        ...leavingOf(summaries.get(cell.id)),
      })),
      ...status.gateways.map((gateway) => {
        const host = hostOf(map, gateway.id);
        return { id: gateway.id, kind: "gateway" as const, state: shownState(map, gateway), ...(host === undefined ? {} : { host }) };
      }),
    ],
    singletons: singletonsOf(map).map(({ name, policy, owners, since }) => ({
      name,
      policy: policyText(policy),
      owner: owners.join(" "),
      epoch: since.epoch,
      writer: since.writer,
      members: view.cells.map(({ id, state }) => ({
        id,
        state: state === "down" ? ("down" as const) : owners.includes(id) ? ("active" as const) : ("idle" as const),
      })),
    })),
    exchanges,
    ...doublingIn(status.doubling),
  };
}

/** What a cell has that is to have nothing. */
function leavingOf(summary: CellSummary | undefined): Pick<Group["members"][number], "left" | "softphonesLeft"> {
  const { left = [], softphonesLeft } = summary ?? {};
  return { ...(left.length === 0 ? {} : { left: left.length }), ...(softphonesLeft === undefined ? {} : { softphonesLeft }) };
}
