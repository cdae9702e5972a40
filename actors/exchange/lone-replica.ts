import type { PairState } from "../../cluster/replication/peer-link.ts";
import { loneLastingMs } from "../limits.ts";
import type { MakeTimer, Timer } from "../timer.ts";

export type LoneReplicaOptions = {
  readonly timer: MakeTimer;
  /** Asked when the state has lasted, for the first cause is often only the first sign, and with each change after that. */
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
  /** What was told last; undefined: nothing. */
  #cause: string | undefined;

  constructor(options: LoneReplicaOptions) {
    this.#options = options;
    this.#timer = options.timer(() => this.#lasted());
  }

  /** The replica is something else to its peer than it was. */
  changed(state: PairState): void {
    if (state === "together") return this.#together();
    // Its cell is up again, perhaps, and what was told is no longer true.
    if (this.#state === "told" && state !== "syncing") return this.#tell();
    if (state === "syncing" || this.#state === "waiting") return;
    this.#state = "waiting";
    this.#timer.set(loneLastingMs);
  }

  /** It was told before this object slept, or was started anew. */
  wasTold(): void {
    if (this.#state === "together") return this.#options.tell(undefined);
    this.#timer.clear();
    this.#state = "told";
    this.#cause = this.#options.causeNow();
  }

  #together(): void {
    this.#timer.clear();
    const wasTold = this.#state === "told";
    this.#state = "together";
    this.#cause = undefined;
    if (wasTold) this.#options.tell(undefined);
  }

  #lasted(): void {
    this.#state = "told";
    this.#tell();
  }

  #tell(): void {
    const cause = this.#options.causeNow();
    if (cause === this.#cause) return;
    this.#cause = cause;
    this.#options.tell(cause);
  }
}
