import { Hono } from "hono";
import { parseHeartbeat } from "../../cluster/group/heartbeat.ts";
import { carriedMapOf } from "../carried-map.ts";
import { coreGroupObject } from "../environment.ts";
import { heartbeatOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { clockHeader } from "../timely-calls.ts";
import { jsonOf } from "./json-body.ts";

/** `POST /cell/heartbeat`: another cell's heartbeat, answered with ours. It wakes the core group and nothing else. */
export const heartbeatApi = new Hono<Signed>();

/** Whose signature is refused may learn from our clock that his is wrong. */
heartbeatApi.use("/heartbeat", async (context, next) => {
  await next();
  if (context.res.status === 401) context.header(clockHeader, String(Date.now()));
});

heartbeatApi.post(
  "/heartbeat",
  signed(() => "cell", heartbeatOctetsMax),
  async (context) => {
    const heartbeat = parseHeartbeat(jsonOf(context.var.body), carriedMapOf);
    if (heartbeat === undefined) return context.json({ error: "no heartbeat" }, 400);
    if (heartbeat.cell !== context.var.who) return context.json({ error: `${context.var.who} speaks for cell ${heartbeat.cell}` }, 403);
    const answer = await coreGroupObject(context.env).heartbeat(heartbeat);
    return answer === undefined ? context.json({ error: `${heartbeat.cell} is a gateway` }, 403) : context.json(answer);
  },
);
