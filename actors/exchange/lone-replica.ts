import type { PairState } from "../../cluster/replication/peer-link.ts";
import { loneLastingMs } from "../limits.ts";
import type { MakeTimer, Timer } from "../timer.ts";

export type LoneReplicaOptions = {
  readonly timer: MakeTimer;
  /** Asked when the state has lasted: the first cause is often only the first sign. */
  readonly causeNow: () => string;
  /** Why there is no second replica; undefined: there is one again. */
  readonly tell: (cause: string | undefined) => void;
};

/**
 * Tells when a replica has had no second memory for a while, and when it has one again. Less is nothing to tell: each replica that wakes is
 * `lagging` until its peer has answered.
 */
export class LoneReplica {
  readonly #options: LoneReplicaOptions;
  readonly #timer: Timer;
  #state: "unknown" | "together" | "waiting" | "told" = "unknown";

  constructor(options: LoneReplicaOptions) {
    this.#options = options;
    this.#timer = options.timer(() => this.#lasted());
  }

  /** The replica is something else to its peer than it was. */
  changed(state: PairState): void {
    if (state === "together") return this.#together();
    if (state === "syncing" || this.#state === "waiting" || this.#state === "told") return;
    this.#state = "waiting";
    this.#timer.set(loneLastingMs);
  }

  /** It was told before this object slept, or was started anew. */
  wasTold(): void {
    if (this.#state === "together") return this.#options.tell(undefined);
    this.#timer.clear();
    this.#state = "told";
  }

  #together(): void {
    this.#timer.clear();
    const wasTold = this.#state === "told";
    this.#state = "together";
    if (wasTold) this.#options.tell(undefined);
  }

  #lasted(): void {
    this.#state = "told";
    this.#options.tell(this.#options.causeNow());
  }
}
