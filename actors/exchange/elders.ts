import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { eldersOf } from "../../cluster/map/doubling.ts";
import { hasReplica } from "../../cluster/map/serving-cells.ts";
import { elderTriesMax, handOverRetryMs } from "../limits.ts";
import type { Timer } from "../timer.ts";
import { Gate } from "./gate.ts";
import type { ExchangePorts, OtherExchangesPort } from "./ports.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type EldersOptions = {
  readonly exchange: number;
  readonly cell: string;
  readonly map: () => ClusterMap;
  readonly ports: Pick<ExchangePorts, "timer" | "soon" | "now" | "log"> & { readonly others: Pick<OtherExchangesPort, "askElder"> };
  /** Nobody is asked any more. `haveTold`: they have told all; else one of them never answers. */
  readonly over: (haveTold: boolean) => void;
};

/**
 * The exchanges that this one has come from, as far as this cell has them. What is this one's by now may still be there, in memory or on the disk. So a replica
 * that starts asks them before it serves anybody: whom it refused for good would not come back. They are in the same process.
 */
export class Elders {
  readonly #options: EldersOptions;
  readonly #gate: Gate;
  readonly #timer: Timer;
  #left: number[] = [];
  #tries = 0;
  #haveTold = true;

  constructor(options: EldersOptions) {
    this.#options = options;
    this.#gate = new Gate(options.ports);
    this.#timer = options.ports.timer(() => this.#ask());
  }

  /** Somebody has not told all yet. */
  get isWaiting(): boolean {
    return this.#left.length > 0;
  }

  start(): void {
    const { exchange, cell, map } = this.#options;
    this.#left = eldersOf(map(), exchange).filter((elder) => hasReplica(map(), elder, cell));
    this.#ask();
  }

  /** See {@link Gate.keep}. */
  keep(input: (now: SteadyMs) => void, isBounded: boolean): boolean {
    return this.#gate.keep(input, isBounded);
  }

  /** What waits comes now: it is dismissed, or they are not to be asked any more. */
  end(): void {
    this.#left = [];
    this.#timer.clear();
    this.#gate.open();
  }

  #ask(): void {
    const [elder] = this.#left;
    if (elder === undefined) return;
    this.#options.ports.others.askElder(elder, (hasTold) => {
      if (this.#left[0] === elder) this.#answered(elder, hasTold);
    });
  }

  #answered(elder: number, hasTold: boolean): void {
    const { exchange, cell, map, ports, over } = this.#options;
    this.#tries += 1;
    if (!hasTold && this.#tries < elderTriesMax) return this.#timer.set(handOverRetryMs);
    if (!hasTold) ports.log.error(`exchange ${exchange}: exchange ${elder}, which it comes from, does not tell what it has`);
    // One that has left meanwhile has told nothing.
    this.#haveTold &&= hasTold && hasReplica(map(), elder, cell);
    this.#left.shift();
    this.#tries = 0;
    if (this.#left.length > 0) return this.#ask();
    this.end();
    over(this.#haveTold);
  }
}
