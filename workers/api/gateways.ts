import { Hono } from "hono";
import type { GroupStatus } from "../../cluster/group/group-effects.ts";
import { shownState, weightOfGateway } from "../../cluster/map/gateways.ts";
import type { GatewayDraining, GatewayRow } from "../../schemas/api-answers.ts";
import { gatewayDrainingBodySchema, weightBodySchema } from "../../schemas/api-bodies.ts";
import { faultText, read } from "../../schemas/reading.ts";
import { coreGroupObject } from "../environment.ts";
import { settingsOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { jsonOf } from "./json-body.ts";
import { refusalTo } from "./wishes.ts";

/** `/api/gateways`: where phones find each gateway, and which share of them it is to get. */
export const gatewaysApi = new Hono<Signed>();

gatewaysApi.use(signed(() => "api", settingsOctetsMax));

gatewaysApi.get("/", async (context) => {
  const group = coreGroupObject(context.env);
  const [{ gateways, map }, listeners] = await Promise.all([group.status(), group.gatewayListeners()]);
  const rows = gateways.map((gateway): GatewayRow => ({
    id: gateway.id,
    state: shownState(map, gateway),
    weight: weightOfGateway(map, gateway.id),
    listeners: listeners[gateway.id] ?? [],
  }));
  return context.json(rows);
});

gatewaysApi.put("/:gateway", async (context) => {
  const { env } = context;
  const id = context.req.param("gateway");
  const { value, fault } = read(weightBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const { gateways } = await coreGroupObject(env).status();
  if (gateways.every((gateway) => gateway.id !== id)) return context.json({ error: `there is no gateway ${id}` }, 404);
  const refusal = await refusalTo(context, { weighGateway: { id, weight: value.weight } });
  return refusal ?? context.json({ id, weight: value.weight });
});

/** A gateway is taken out of service, or back. The map says so, and the gateway follows it. */
gatewaysApi.put("/:gateway/draining", async (context) => {
  const { env } = context;
  const id = context.req.param("gateway");
  const { value, fault } = read(gatewayDrainingBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const { gateways, map }: GroupStatus = await coreGroupObject(env).status();
  if (gateways.every((gateway) => gateway.id !== id)) return context.json({ error: `there is no gateway ${id}` }, 404);
  const { draining, closeAfterMs } = value;
  const isLast = gateways.every((gateway) => gateway.id === id || shownState(map, gateway) !== "up");
  if (draining && isLast)
    return context.json({ error: `gateway ${id} stays in service: no other gateway is up that phones could go to` }, 409);
  const order = { id, ...(closeAfterMs === undefined ? {} : { closeAt: Date.now() + closeAfterMs }) };
  const refusal = await refusalTo(context, draining ? { drainGateway: order } : { undrainGateway: id });
  return refusal ?? context.json({ ...(draining ? order : { id }), draining } satisfies GatewayDraining);
});
