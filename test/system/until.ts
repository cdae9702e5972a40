import { setTimeout as delay } from "node:timers/promises";

/** Waits until a condition holds; throws when it does not within the bound. */
export async function until(condition: () => boolean | Promise<boolean>, msMax = 10_000): Promise<void> {
  const end = performance.now() + msMax;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${msMax} ms: ${condition.toString()}`);
    await delay(10);
  }
}
