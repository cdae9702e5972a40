import { Hono } from "hono";
import type { CellChanged } from "../../schemas/api-answers.ts";
import { cellBodyMessage, cellBodySchema } from "../../schemas/api-bodies.ts";
import { type Fault, read } from "../../schemas/reading.ts";
import { askCell } from "../cells.ts";
import type { Draining } from "../core-group/core-group-object.ts";
import { clusterMapOf, coreGroupObject } from "../environment.ts";
import { settingsOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { warnOf } from "../way-lost.ts";
import { jsonOf } from "./json-body.ts";
import { refusalTo } from "./wishes.ts";

/**
 * `/api/cells/<id>`: `PUT {"draining": true}` takes a cell out of service, `false` back, and `PUT {"weight": 2}` gives it another share. Any cell takes it, and
 * passes it on: to that cell, or to the coordinator.
 */
export const cellsApi = new Hono<Signed>();

cellsApi.use(signed(() => "api", settingsOctetsMax));

cellsApi.put("/:cell", async (context) => {
  const { env } = context;
  const map = clusterMapOf(env);
  const cell = context.req.param("cell");
  if (!map.cells.some(({ id }) => id === cell)) return context.json({ error: `there is no cell ${cell}` }, 404);
  const { value, fault } = read(cellBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: cellFaultText(fault) }, 400);
  const { draining, weight } = value;
  if (draining === undefined) {
    const refusal = await refusalTo(context, { weighCell: { id: cell, weight: weight ?? 0 } });
    return refusal ?? context.json({ id: cell, weight: weight ?? 0 } satisfies CellChanged);
  }
  let outcome: Draining;
  try {
    if (cell === env.CELL) outcome = await coreGroupObject(env).setDraining(draining);
    else outcome = await askCell<Draining>(env, map, cell, "/cell/draining", draining);
  } catch (error) {
    warnOf(`cell ${cell} is not told whether it is in service`, error);
    return context.json({ error: `cell ${cell} cannot be reached` }, 503);
  }
  if (outcome !== "done") return context.json({ error: `cell ${cell} stays in service: ${reasons[outcome]}` }, 409);
  return context.json({ id: cell, draining } satisfies CellChanged);
});

function cellFaultText({ path, reason }: Fault): string {
  if (path === "weight") return `weight ${reason}`;
  return path === "" || path === "draining" ? cellBodyMessage : `${path} ${reason}`;
}

const reasons: Readonly<Record<Exclude<Draining, "done">, string>> = {
  last: "no other cell is up that could take over",
  unreplicated: "without replication no other cell knows what it knows",
};
