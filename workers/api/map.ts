import { Hono } from "hono";
import { doublingNowFault } from "../../cluster/group/removal.ts";
import { faultOf } from "../../cluster/map/map-change.ts";
import { assignmentsOf } from "../../cluster/map/serving-cells.ts";
import { type MapAnswer, mapChangedText } from "../../schemas/api-answers.ts";
import { mapBodySchema } from "../../schemas/api-bodies.ts";
import { faultText, read } from "../../schemas/reading.ts";
import type { Proposed } from "../core-group/map-changes.ts";
import { coreGroupObject, type Environment } from "../environment.ts";
import { mapOctets } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { doublingIn } from "./doubling.ts";
import { jsonOf } from "./json-body.ts";
import { byCoordinator } from "./wishes.ts";

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
  const outcome = await byCoordinator<Proposed>(env, "/cell/map", proposal, async (coordinator) => await coordinator.propose(proposal));
  if ("error" in outcome) return context.json({ error: outcome.error }, outcome.status);
  if (outcome.done === "outdated") return context.json({ error: `${mapChangedText}: look at it, and change that` }, 409);
  return context.json(outcome.done satisfies MapAnswer);
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
