import { exchangesIn } from "../../cluster/map/serving-cells.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { clusterMapOf, type Environment, exchangeObject, ledgerObject, lineObject } from "../environment.ts";
import { openedAgainMs } from "../limits.ts";

/**
 * The other objects of this cell. To open their databases takes room on the disk, and they keep them open (docs/decisions/0018). So it is done when the
 * cell starts, and not when somebody needs one on a disk that is full.
 */
export class OwnObjects {
  readonly #env: Environment;
  #openedAt: SteadyMs = 0;

  constructor(env: Environment) {
    this.#env = env;
  }

  get count(): number {
    return this.#calls().length;
  }

  /** All open their databases, if they have not: one that was reset lately has another try. */
  open(now: SteadyMs): void {
    if (now - this.#openedAt < openedAgainMs) return;
    this.#openedAt = now;
    // One that cannot open it is refused to those who need it, and tried again.
    for (const call of this.#calls()) void call().catch(() => undefined);
  }

  #calls(): (() => Promise<unknown>)[] {
    const env = this.#env;
    const map = clusterMapOf(env);
    return [
      async () => await ledgerObject(env).stayAwake(),
      ...exchangesIn(map, env.CELL).map((exchange) => async () => await exchangeObject(env, exchange).counts()),
      ...Array.from({ length: map.lineCount }, (_, line) => async () => await lineObject(env, line).stayAwake()),
    ];
  }
}
