import { createMiddleware } from "hono/factory";
import { isExchange, otherReplicaOf } from "./cells.ts";
import { clusterMapOf, exchangeName, type Environment } from "./environment.ts";
import type { Signed } from "./signed.ts";

/** What a route behind {@link exchangeOfPath} finds in its context: the replica in this cell. */
export type OfExchange = Signed & { readonly Variables: { exchange: ReturnType<Environment["EXCHANGE"]["getByName"]> } };

/** For paths with `:exchange`: 404 when there is no such exchange. Behind the signature: strangers learn nothing. */
export const exchangeOfPath = createMiddleware<OfExchange>(async (context, next) => {
  const exchange = Number(context.req.param("exchange"));
  if (!isExchange(clusterMapOf(context.env), exchange)) return context.json({ error: `there is no exchange ${exchange}` }, 404);
  context.set("exchange", context.env.EXCHANGE.getByName(exchangeName(exchange)));
  return next();
});

/** Behind {@link exchangeOfPath}: 403 for whoever is not the other replica of that exchange. */
export const fromItsPeer = createMiddleware<OfExchange>(async (context, next) => {
  const exchange = Number(context.req.param("exchange"));
  const { who } = context.var;
  if (who !== otherReplicaOf(clusterMapOf(context.env), exchange, context.env.CELL))
    return context.json({ error: `cell ${who} has no other replica of exchange ${exchange}` }, 403);
  return next();
});
