import { Hono } from "hono";
import { readHeartbeatSettings } from "../../cluster/group/settings.ts";
import { coreGroupName } from "../environment.ts";
import { settingsOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";

/**
 * `/api/settings`: what can be changed while the cluster runs. `GET` and `PUT` answer `{"version", "heartbeat": {"periodMs", "missed"}}`;
 * `PUT` takes the heartbeat. Any cell takes it, and tells the others.
 */
export const settingsApi = new Hono<Signed>();

settingsApi.use(signed(() => "api", settingsOctetsMax));

settingsApi.get("/", async (context) => context.json(await context.env.CORE_GROUP.getByName(coreGroupName).settings()));

settingsApi.put("/", async (context) => {
  const heartbeat = readHeartbeatSettings(heartbeatOf(context.var.body));
  if ("error" in heartbeat) return context.json(heartbeat, 400);
  return context.json(await context.env.CORE_GROUP.getByName(coreGroupName).setHeartbeat(heartbeat));
});

function heartbeatOf(body: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    return typeof value === "object" && value !== null && "heartbeat" in value ? value.heartbeat : undefined;
  } catch {
    return undefined;
  }
}
