import { Hono } from "hono";
import type { Settings } from "../../schemas/api-answers.ts";
import { heartbeatMessage, settingsBodySchema } from "../../schemas/api-bodies.ts";
import { type Fault, read } from "../../schemas/reading.ts";
import { askCell, CellAnswerError } from "../cells.ts";
import { coreGroupObject } from "../environment.ts";
import { settingsOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { warnOf } from "../way-lost.ts";
import { jsonOf } from "./json-body.ts";

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
  const group = coreGroupObject(env);
  const { view, map } = await group.status();
  if (view.coordinator === env.CELL) return context.json((await group.setHeartbeat(value.heartbeat)) satisfies Settings);
  try {
    return context.json(await askCell<Settings>(env, map, view.coordinator, "/cell/settings", value));
  } catch (error) {
    // One of an earlier release takes no settings from other cells: each cell writes its own there.
    if (error instanceof CellAnswerError) return context.json((await group.setHeartbeat(value.heartbeat)) satisfies Settings);
    warnOf(`cell ${view.coordinator} is not told of other settings`, error);
    return context.json({ error: `cell ${view.coordinator}, the coordinator, cannot be reached` }, 503);
  }
});

/** There is one setting: a body without it, or that is none, is told what it is. */
function settingsFaultText({ path, reason }: Fault): string {
  return path === "" || path === "heartbeat" ? `heartbeat ${heartbeatMessage}` : `${path} ${reason}`;
}
