import { Hono } from "hono";
import { parseHeartbeat } from "../../sip/core-group/heartbeat.ts";
import { coreGroupName } from "../environment.ts";
import { heartbeatOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";

/** `POST /cell/heartbeat`: another cell's heartbeat, answered with ours. It wakes the core group and nothing else. */
export const heartbeatApi = new Hono<Signed>();

heartbeatApi.post(
  "/heartbeat",
  signed(() => "cell", heartbeatOctetsMax),
  async (context) => {
    const heartbeat = parseHeartbeat(parseJson(context.var.body));
    if (heartbeat === undefined) return context.json({ error: "no heartbeat" }, 400);
    if (heartbeat.cell !== context.var.who) return context.json({ error: `${context.var.who} speaks for cell ${heartbeat.cell}` }, 403);
    return context.json(await context.env.CORE_GROUP.getByName(coreGroupName).heartbeat(heartbeat));
  },
);

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}
