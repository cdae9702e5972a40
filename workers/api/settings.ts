import { Hono } from "hono";
import type { Settings } from "../../schemas/api-answers.ts";
import { heartbeatSchema } from "../../schemas/api-bodies.ts";
import { read } from "../../schemas/reading.ts";
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
  const { value, fault } = read(heartbeatSchema, heartbeatOf(jsonOf(context.var.body)));
  if (fault !== undefined) return context.json({ error: `${["heartbeat", fault.path].filter(Boolean).join(".")} ${fault.reason}` }, 400);
  return context.json((await context.env.CORE_GROUP.getByName(coreGroupName).setHeartbeat(value)) satisfies Settings);
});

function heartbeatOf(body: unknown): unknown {
  return typeof body === "object" && body !== null && "heartbeat" in body ? body.heartbeat : undefined;
}
