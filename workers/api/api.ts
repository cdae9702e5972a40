import { Hono, type Context } from "hono";
import { exchangeOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { SubscriberRemoved, SubscribersStored } from "../../schemas/api-answers.ts";
import { askCell } from "../cells.ts";
import { clusterMapOf, exchangeObject } from "../environment.ts";
import type { SubscriberChange } from "../../sip/record/values.ts";
import { diskFullStatus, diskFullText } from "../disk-room.ts";
import { apiBodyOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { joinArrays, registrationsOf, subscribersOf } from "./cell-share.ts";
import { allExchanges, gather } from "./exchange-groups.ts";
import { atOneOf, isDiskFull, removeSubscriber } from "./one-replica.ts";
import { statusOf } from "./status.ts";
import { jsonOf } from "./json-body.ts";
import { isInputError, readAddressOfRecord, readSubscribers } from "./subscribers.ts";
import { warnOf } from "../way-lost.ts";

/** What the `tandem` command asks: `/api/`, JSON, signed by `cli`. Any cell answers for the whole cluster. */
export const api = new Hono<Signed>();

api.use(signed(() => "api", apiBodyOctetsMax));

api.get("/status", async (context) => context.json(await statusOf(context.env, clusterMapOf(context.env))));

api.get("/registrations", async (context) => {
  const { env } = context;
  const map = clusterMapOf(env);
  const asked = context.req.query("aor");
  const addressOfRecord = asked === undefined ? undefined : readAddressOfRecord(map, asked);
  if (typeof addressOfRecord === "object") return context.json(addressOfRecord, 400);
  const exchanges = addressOfRecord === undefined ? allExchanges(map) : [exchangeOf(map, addressOfRecord)];
  const { answers, missing } = await gather(map, env.CELL, exchanges, async (cell, group) => {
    if (cell === env.CELL) return await registrationsOf(env, group, addressOfRecord);
    const query = new URLSearchParams({ exchanges: group.join(","), ...(addressOfRecord === undefined ? {} : { aor: addressOfRecord }) });
    return JSON.stringify(await askCell(env, map, cell, `/cell/registrations?${query.toString()}`));
  });
  if (missing.length > 0) return unreachable(context, missing);
  return context.body(joinArrays(answers), 200, { "content-type": "application/json" });
});

api.get("/subscribers", async (context) => {
  const { env } = context;
  const map = clusterMapOf(env);
  const { answers, missing } = await gather(map, env.CELL, allExchanges(map), async (cell, group) => {
    if (cell === env.CELL) return await subscribersOf(env, group);
    return await askCell<string[]>(env, map, cell, `/cell/subscribers?exchanges=${group.join(",")}`);
  });
  return missing.length > 0 ? unreachable(context, missing) : context.json(answers.flat().toSorted());
});

api.put("/subscribers", async (context) => {
  const map = clusterMapOf(context.env);
  const changes = readSubscribers(map, jsonOf(context.var.body));
  if (isInputError(changes)) return context.json(changes, 400);
  const groups = new Map<number, SubscriberChange[]>();
  for (const change of changes) {
    const exchange = exchangeOf(map, change.aor);
    const group = groups.get(exchange);
    if (group === undefined) groups.set(exchange, [change]);
    else group.push(change);
  }
  const results = await Promise.allSettled([...groups].map(([exchange, group]) => put(context, map, exchange, group)));
  const missing = [...groups.keys()].filter((_, index) => results[index]?.status === "rejected");
  if (results.some((result) => result.status === "rejected" && isDiskFull(result.reason))) {
    return full(
      context,
      [...groups.values()].flatMap((group, index) => (results[index]?.status === "fulfilled" ? group : [])).length,
      changes.length,
    );
  }
  if (missing.length > 0) return unreachable(context, missing);
  const changed = results.reduce((sum, result) => sum + (result.status === "fulfilled" ? result.value : 0), 0);
  return context.json({ stored: changes.length, changed } satisfies SubscribersStored);
});

api.delete("/subscribers", async (context) => {
  const { env } = context;
  const map = clusterMapOf(env);
  const addressOfRecord = readAddressOfRecord(map, context.req.query("aor") ?? "");
  if (typeof addressOfRecord === "object") return context.json(addressOfRecord, 400);
  const exchange = exchangeOf(map, addressOfRecord);
  let wasThere: boolean;
  try {
    wasThere = await removeSubscriber(env, map, addressOfRecord);
  } catch (error) {
    if (isDiskFull(error)) return full(context);
    warnOf(`exchange ${exchange} does not remove ${addressOfRecord}`, error);
    return unreachable(context, [exchange]);
  }
  return wasThere
    ? context.json({ removed: addressOfRecord } satisfies SubscriberRemoved)
    : context.json({ error: `${addressOfRecord} is no subscriber` }, 404);
});

/** Resolves with how many of them had been there before. */
async function put(context: Context<Signed>, map: ClusterMap, exchange: number, changes: readonly SubscriberChange[]): Promise<number> {
  const { env } = context;
  return await atOneOf(env, map, exchange, async (cell) =>
    cell === env.CELL
      ? await exchangeObject(env, exchange).putSubscribers(changes)
      : await askCell<number>(env, map, cell, `/cell/subscribers/${exchange}/put`, changes),
  );
}

/** So many of them are stored: those of an exchange whose disk had room. */
function full(context: Context<Signed>, stored = 0, all = 0): Response {
  const what = stored === 0 ? "nothing is stored" : `${stored} of ${all} stored`;
  return context.json({ error: `${diskFullText}: ${what}` }, diskFullStatus);
}

function unreachable(context: Context<Signed>, exchanges: readonly number[]): Response {
  const plural = exchanges.length === 1 ? "exchange" : "exchanges";
  return context.json({ error: `${plural} ${exchanges.toSorted((a, b) => a - b).join(", ")} cannot be reached` }, 503);
}
