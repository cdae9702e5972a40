import { setTimeout as delay } from "node:timers/promises";

type Condition = () => boolean | Promise<boolean>;

const pollMsDefault = 10;

/** Waits until a condition holds, which is asked for every `pollMs`. False: it does not within the bound. */
export async function comesTrue(condition: Condition, msMax: number, pollMs = pollMsDefault): Promise<boolean> {
  const end = performance.now() + msMax;
  while (!(await condition())) {
    if (performance.now() > end) return false;
    await delay(pollMs);
  }
  return true;
}

/** Waits until a condition holds; throws when it does not within the bound. */
export async function until(condition: Condition, msMax = 10_000): Promise<void> {
  if (!(await comesTrue(condition, msMax))) throw new Error(`not within ${msMax} ms: ${condition.toString()}`);
}
