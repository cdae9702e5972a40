import { Hono } from "hono";
import { servedIdOf } from "../../cluster/authority/served.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { memberOf, runsCell } from "../../cluster/map/members.ts";
import type { Served } from "../../schemas/hosts.ts";
import { certificateOrderBodySchema, servedBodySchema } from "../../schemas/api-bodies.ts";
import { faultText, read } from "../../schemas/reading.ts";
import { coreGroupObject } from "../environment.ts";
import { membersOctetsMax } from "../limits.ts";
import { readServed } from "../served-certificate.ts";
import { signed, type Signed } from "../signed.ts";
import { jsonOf } from "./json-body.ts";
import { refusalTo } from "./wishes.ts";

/** What hosts ask for the certificate that all their gateways show: `/host/` (docs/decisions/0057). */
export const servedApi = new Hono<Signed>();

const signedByHost = signed(() => "host", membersOctetsMax);
for (const path of ["/served", "/certificate-order"]) servedApi.use(path, signedByHost);

const forCells = { error: "that is for a host with a cell" };

/** Each host with a gateway may have what gateways show: it is one certificate for all of them. */
servedApi.get("/served", async (context) => {
  const { env, var: variables, req } = context;
  const group = coreGroupObject(env);
  const [map, keyring]: [ClusterMap, Awaited<ReturnType<typeof group.keyring>>] = await Promise.all([group.newestMap(), group.keyring()]);
  const hasGateway = map.members?.some(
    ({ id, kind, host }) => kind === "gateway" && host === variables.who && memberOf(map, id) !== undefined,
  );
  if (hasGateway !== true) return context.json({ error: `host ${variables.who} runs no gateway` }, 403);
  const id = servedIdOf({ directory: req.query("directory") ?? "", names: (req.query("names") ?? "").split(",") });
  const found = keyring?.served?.find((each) => servedIdOf(each) === id);
  return context.json((found === undefined ? {} : { served: found }) satisfies Served);
});

/** Whoever has a cell on his machine has what cells have. Nobody else says what gateways of others show. */
servedApi.put("/served", async (context) => {
  const { env, var: variables } = context;
  const { value, fault } = read(servedBodySchema, jsonOf(variables.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const group = coreGroupObject(env);
  const [map, keyring] = await Promise.all([group.newestMap(), group.keyring()]);
  if (!runsCell(map, variables.who)) return context.json(forCells, 403);
  if (keyring === undefined) return context.json({ error: "this cell has no keyring" }, 409);
  const served = readServed(value, Date.now());
  if ("refused" in served) return context.json({ error: `that is no certificate for gateways: ${served.refused}` }, 400);
  await group.keyring(env.CELL, { ...keyring, served: [...(keyring.served ?? []), served].slice(-servedHeldMax) });
  return context.json({ kept: true });
});

servedApi.put("/certificate-order", async (context) => {
  const { env, var: variables } = context;
  const { value, fault } = read(certificateOrderBodySchema, jsonOf(variables.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const map: ClusterMap = await coreGroupObject(env).newestMap();
  if (!runsCell(map, variables.who)) return context.json(forCells, 403);
  const order = { host: variables.who, until: Date.now() + value.forMs, challenges: value.challenges };
  const refusal = await refusalTo(context, { orderCertificate: order });
  return refusal ?? context.json({ host: variables.who });
});

/** Merging takes out what is too much. */
const servedHeldMax = 16;
