import type { CallEnding } from "../../cluster/calls/live-call.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import { askCell, within } from "../cells.ts";
import { type Environment, exchangeObject } from "../environment.ts";
import { cellAnswerMsMax } from "../limits.ts";
import { warnOf } from "../way-lost.ts";
import { allExchanges } from "./exchange-groups.ts";

/** What an exchange has said; `failed`: nothing, in time. */
type Ending = CallEnding | "failed";

/**
 * Ends a call, wherever it is. Each exchange is asked once, at its primary: that has the dialogs, and most of what rings. The other replica is asked where that
 * one has it in hand, and where the primary does not answer.
 */
export async function endCall(env: Environment, map: ClusterMap, id: string): Promise<Exclude<CallEnding, "elsewhere"> | "unreachable"> {
  let asked = allExchanges(map);
  const all: Ending[] = [];
  for (const replica of [0, 1]) {
    const groups = new Map<string, number[]>();
    for (const exchange of asked) {
      const cell = servingCells(map, exchange)[replica];
      if (cell !== undefined) groups.set(cell, [...(groups.get(cell) ?? []), exchange]);
    }
    const answers = await Promise.all([...groups].map(([cell, group]) => askTo(env, map, cell, group, id)));
    const endings = answers.flat();
    all.push(...endings.map(({ ending }) => ending));
    asked = endings.filter(({ ending }) => ending === "elsewhere" || ending === "failed").map(({ exchange }) => exchange);
    if (asked.length === 0) break;
  }
  const found = (["bothUntold", "calleeUntold", "callerUntold", "busy", "hungUp", "cancelled"] as const).find((ending) =>
    all.includes(ending),
  );
  return found ?? (asked.length > 0 ? "unreachable" : "unknown");
}

/** Has exchanges of this cell end a call: what each of them says, in their order. */
export async function endingsIn(env: Environment, exchanges: readonly number[], id: string): Promise<Ending[]> {
  return await Promise.all(
    exchanges.map(async (exchange) => {
      try {
        return await within(exchangeObject(env, exchange).endCall(id) as Promise<CallEnding>, cellAnswerMsMax);
      } catch (error) {
        warnOf(`exchange ${exchange} does not say whether it has ended call ${id}`, error);
        return "failed";
      }
    }),
  );
}

async function askTo(
  env: Environment,
  map: ClusterMap,
  cell: string,
  exchanges: readonly number[],
  id: string,
): Promise<{ readonly exchange: number; readonly ending: Ending }[]> {
  let endings: readonly (Ending | undefined)[] = [];
  try {
    endings =
      cell === env.CELL
        ? await endingsIn(env, exchanges, id)
        : await askCell<Ending[]>(env, map, cell, "/cell/calls/end", { id, exchanges });
  } catch (error) {
    warnOf(`cell ${cell} is not told to end call ${id}`, error);
  }
  return exchanges.map((exchange, index) => ({ exchange, ending: endings[index] ?? "failed" }));
}
