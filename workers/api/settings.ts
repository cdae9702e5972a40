import { Hono } from "hono";
import type { Settings } from "../../schemas/api-answers.ts";
import { heartbeatMessage, settingsBodySchema } from "../../schemas/api-bodies.ts";
import { type Fault, read } from "../../schemas/reading.ts";
import { coreGroupObject } from "../environment.ts";
import { settingsOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { jsonOf } from "./json-body.ts";
import { byCoordinator } from "./wishes.ts";

/**
 * `/api/settings`: what can be changed while the cluster runs. Any cell takes it, and the coordinator writes it: of two maps that two cells write at once only
 * one survives.
 */
export const settingsApi = new Hono<Signed>();

settingsApi.use(signed(() => "api", settingsOctetsMax));

settingsApi.get("/", async (context) => context.json((await coreGroupObject(context.env).settings()) satisfies Settings));

settingsApi.put("/", async (context) => {
  const { value, fault } = read(settingsBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: settingsFaultText(fault) }, 400);
  const { env } = context;
  const outcome = await byCoordinator<Settings>(env, "/cell/settings", value, async (group) => await group.setHeartbeat(value.heartbeat));
  if ("done" in outcome) return context.json(outcome.done);
  // One of an earlier release takes no settings from other cells: each cell writes its own there.
  const own = outcome.isEarlier === true ? await coreGroupObject(env).setHeartbeat(value.heartbeat) : undefined;
  if (own !== undefined && !("refused" in own)) return context.json(own satisfies Settings);
  return context.json({ error: own?.refused ?? outcome.error }, own === undefined ? outcome.status : 503);
});

/** There is one setting: a body without it, or that is none, is told what it is. */
function settingsFaultText({ path, reason }: Fault): string {
  return path === "" || path === "heartbeat" ? `heartbeat ${heartbeatMessage}` : `${path} ${reason}`;
}
