import { Hono } from "hono";
import { doublingNowFault } from "../../cluster/group/removal.ts";
import { faultOf } from "../../cluster/map/map-change.ts";
import { assignmentsOf } from "../../cluster/map/serving-cells.ts";
import { type MapAnswer, mapChangedText } from "../../schemas/api-answers.ts";
import { mapBodySchema } from "../../schemas/api-bodies.ts";
import { faultText, read } from "../../schemas/reading.ts";
import { askCell } from "../cells.ts";
import type { Proposed } from "../core-group/proposed.ts";
import { coreGroupObject, type Environment } from "../environment.ts";
import { mapOctets } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { warnOf } from "../way-lost.ts";
import { doublingIn } from "./doubling.ts";
import { jsonOf } from "./json-body.ts";

/** `/api/map`: which cells there are, and which of them have which exchange. Any cell takes a change, and the coordinator writes it. */
export const mapApi = new Hono<Signed>();

mapApi.use(signed(() => "api", mapOctets));

mapApi.get("/", async (context) => context.json(await mapOf(context.env)));

mapApi.put("/", async (context) => {
  const { env } = context;
  const { value: proposal, fault } = read(mapBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const group = coreGroupObject(env);
  const { view, map } = await group.status();
  const wrong = faultOf(map, proposal);
  if (wrong !== undefined) return context.json({ error: wrong }, 400);
  const notNow = proposal.exchangeCount === undefined ? undefined : doublingNowFault(view);
  if (notNow !== undefined) return context.json({ error: notNow }, 409);
  let outcome: Proposed;
  try {
    if (view.coordinator === env.CELL) outcome = await group.propose(proposal);
    else outcome = await askCell<Proposed>(env, map, view.coordinator, "/cell/map", proposal);
  } catch (error) {
    warnOf(`cell ${view.coordinator} is not told of a change of the map`, error);
    return context.json({ error: `cell ${view.coordinator}, the coordinator, cannot be reached` }, 503);
  }
  if (outcome === "outdated") return context.json({ error: `${mapChangedText}: look at it, and change that` }, 409);
  if ("refused" in outcome) return context.json({ error: outcome.refused }, 409);
  return context.json(outcome satisfies MapAnswer);
});

async function mapOf(env: Environment): Promise<MapAnswer> {
  const group = coreGroupObject(env);
  const [map, left] = await Promise.all([group.newestMap(), group.leftToHandOver()]);
  return { ...answerOf(map), ...doublingIn(left) };
}

/** Without what is a secret of the cluster. */
function answerOf(map: Parameters<typeof assignmentsOf>[0]): MapAnswer {
  const { version, writer = "", cells, exchangeCount } = map;
  return { version, writer, cells, exchangeCount, assignments: assignmentsOf(map) };
}
