import { setTimeout as delay } from "node:timers/promises";
import { KeyRefusal } from "../api-client.ts";
import { Failure, Refusal } from "../errors.ts";

const pollMs = 250;

/** Asks again while nobody answers, for so long: what is asked may be said twice. Rejects with the last {@link Failure}, and at once with what a cell has refused. */
export async function again<Answer>(ask: () => Promise<Answer>, ms: number): Promise<Answer> {
  for (const start = performance.now(); ; await delay(pollMs)) {
    try {
      return await ask();
    } catch (error) {
      const isFinal = !(error instanceof Failure) || error instanceof KeyRefusal || (error instanceof Refusal && !isEarly(error));
      if (isFinal || performance.now() - start >= ms) throw error;
    }
  }
}

/** The cell that is to be drained has not heard yet that another one is up. */
function isEarly({ message }: Refusal): boolean {
  return message.endsWith("no other cell is up that could take over");
}

/** Asks until it is so. Rejects with a {@link Failure} that says what it is in its place. */
export async function untilSo(why: () => Promise<string | undefined>, ms: number): Promise<void> {
  for (const start = performance.now(); ; await delay(pollMs)) {
    const reason = await why();
    if (reason === undefined) return;
    if (performance.now() - start >= ms) throw new Failure(reason);
  }
}
