import { Hono } from "hono";
import type { Settings } from "../../schemas/api-answers.ts";
import { heartbeatMessage, settingsBodySchema } from "../../schemas/api-bodies.ts";
import { type Fault, read } from "../../schemas/reading.ts";
import { coreGroupName } from "../environment.ts";
import { settingsOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { jsonOf } from "./json-body.ts";

/** `/api/settings`: what can be changed while the cluster runs. Any cell takes it, and tells the others. */
export const settingsApi = new Hono<Signed>();

settingsApi.use(signed(() => "api", settingsOctetsMax));

settingsApi.get("/", async (context) =>
  context.json((await context.env.CORE_GROUP.getByName(coreGroupName).settings()) satisfies Settings),
);

settingsApi.put("/", async (context) => {
  const { value, fault } = read(settingsBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: settingsFaultText(fault) }, 400);
  return context.json((await context.env.CORE_GROUP.getByName(coreGroupName).setHeartbeat(value.heartbeat)) satisfies Settings);
});

/** There is one setting: a body without it, or that is none, is told what it is. */
function settingsFaultText({ path, reason }: Fault): string {
  return path === "" || path === "heartbeat" ? `heartbeat ${heartbeatMessage}` : `${path} ${reason}`;
}
