import { isTable } from "../json.ts";
import type { DrillSystem } from "./drill-system.ts";

/** Whether both replicas of every exchange hold the same records now. A cell that does not answer has not the same. */
export async function areIdentical(system: DrillSystem): Promise<boolean> {
  const exchanges = Array.from({ length: system.exchangeCount }, (_, exchange) => exchange);
  const pairs = await Promise.all(
    exchanges.map(async (exchange) => await Promise.all([digestOf(system, "a", exchange), digestOf(system, "b", exchange)])),
  );
  return pairs.every(([first, second]) => first !== undefined && first === second);
}

async function digestOf(system: DrillSystem, cell: "a" | "b", exchange: number): Promise<string | undefined> {
  try {
    const answer = await system.cellApi(cell).get(`/cell/digest/${exchange}`);
    return isTable(answer) ? `${String(answer["count"])} ${String(answer["hash"])}` : undefined;
  } catch {
    return undefined;
  }
}
