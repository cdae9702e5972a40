import { createMiddleware } from "hono/factory";
import { isKnownCell } from "../cluster/map/serving-cells.ts";
import { cellOfLine } from "../sip/flow/flow.ts";
import { isExchange } from "./cells.ts";
import { clusterMapOf, type Environment, exchangeObject } from "./environment.ts";
import type { Signed } from "./signed.ts";

/** What a route behind {@link exchangeOfPath} finds in its context: the replica in this cell. */
export type OfExchange = Signed & { readonly Variables: { exchange: ReturnType<Environment["EXCHANGE"]["getByName"]> } };

/** For paths with `:exchange`: 404 when there is no such exchange. Behind the signature: strangers learn nothing. */
export const exchangeOfPath = createMiddleware<OfExchange>(async (context, next) => {
  const exchange = Number(context.req.param("exchange"));
  if (!isExchange(clusterMapOf(context.env), exchange)) return context.json({ error: `there is no exchange ${exchange}` }, 404);
  context.set("exchange", exchangeObject(context.env, exchange));
  return next();
});

/**
 * Behind {@link exchangeOfPath}: 403 for whoever is no other cell of the map, and was none. Any of them may have records of an exchange: one that has no replica
 * of it any more, or was removed, hands over what it has. The exchange knows its peer.
 */
export const fromAnotherCell = createMiddleware<OfExchange>(async (context, next) => {
  const { who } = context.var;
  if (who === context.env.CELL || !isKnownCell(clusterMapOf(context.env), who))
    return context.json({ error: `${who} is no other cell of this cluster` }, 403);
  return next();
});

/** Whether an access is a line of this cell. */
export function isLineOf(access: string, cell: string): boolean {
  return access.includes(".") && cellOfLine(access) === cell;
}
