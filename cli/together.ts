import { setTimeout as delay } from "node:timers/promises";
import { isListOf, isTable } from "./json.ts";

const pollMs = 25;

/** The exchanges of a cell whose peers have what they have, and the other way round. */
export function togetherIn(summary: unknown): number[] {
  const exchanges = isTable(summary) ? summary["exchanges"] : undefined;
  if (!isListOf(exchanges, isTable)) return [];
  return exchanges.filter(({ pair }) => pair === "together").map(({ exchange }) => Number(exchange));
}

/** Waits until a cell answers, and all of these exchanges, which are taken out, are together with their peers. False: it does not answer. */
export async function untilTogether(ask: () => Promise<unknown>, exchanges: Set<number>, until: number): Promise<boolean> {
  let isServing = false;
  while ((!isServing || exchanges.size > 0) && performance.now() < until) {
    // It may be the cell that does not start.
    const summary = await ask().catch(() => undefined);
    isServing = summary !== undefined;
    for (const exchange of togetherIn(summary)) exchanges.delete(exchange);
    if (!isServing || exchanges.size > 0) await delay(pollMs);
  }
  return isServing;
}

/** Resolves to a question that is true when a cell answers, and all its exchanges are together with their peers again that are so now. */
export async function catchingUp(ask: () => Promise<unknown>): Promise<() => Promise<boolean>> {
  const together = new Set(togetherIn(await ask().catch(() => undefined)));
  return async () => {
    const summary = await ask().catch(() => undefined);
    for (const exchange of togetherIn(summary)) together.delete(exchange);
    return summary !== undefined && together.size === 0;
  };
}
