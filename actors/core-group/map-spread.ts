import type { Spread } from "../../cluster/group/group-effects.ts";
import { mapSpreadMs, mapSpreadMsMax } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

type Waiting = { readonly since: SteadyMs; readonly done: (isKnown: boolean) => void };

/**
 * Who has the map changed is answered when another cell has it too: then it outlives the cell that wrote it. One that does not answer is waited for a moment, and
 * then one other cell is enough.
 */
export class MapSpread {
  #waiting: readonly Waiting[] = [];

  /** `done`: the map that was written now is in another cell, where one is up; or nobody knows that it is. */
  wait(done: Waiting["done"], now: SteadyMs): void {
    this.#waiting = [...this.#waiting, { since: now, done }];
  }

  look(spreadNow: () => Spread, now: SteadyMs): void {
    if (this.#waiting.length === 0) return;
    const spread = spreadNow();
    this.#end(({ since }) => {
      const isKnown = spread === "all" || (spread === "some" && now - since >= mapSpreadMs);
      return isKnown || now - since >= mapSpreadMsMax ? isKnown : undefined;
    });
  }

  /** Another cell has written a map. What was written here may have been lost to it. */
  lost(): void {
    this.#end(() => false);
  }

  /** When to {@link look} next at the latest; Infinity: nobody waits. */
  nextDeadline(now: SteadyMs): number {
    const deadlines = this.#waiting.map(({ since }) => since + (now - since < mapSpreadMs ? mapSpreadMs : mapSpreadMsMax));
    return Math.min(Number.POSITIVE_INFINITY, ...deadlines);
  }

  /** Ends what has an outcome. */
  #end(outcomeOf: (waiting: Waiting) => boolean | undefined): void {
    const over = this.#waiting.map((waiting) => ({ waiting, isKnown: outcomeOf(waiting) }));
    this.#waiting = over.flatMap(({ waiting, isKnown }) => (isKnown === undefined ? [waiting] : []));
    for (const { waiting, isKnown } of over) if (isKnown !== undefined) waiting.done(isKnown);
  }
}
