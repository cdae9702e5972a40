import type { PairState } from "../../cluster/replication/peer-link.ts";
import { pairLastingMs } from "../limits.ts";

/**
 * Tells when a replica has had no second memory for a while, and when it has one again. What lasts for less is nothing to tell: each replica that
 * wakes is `lagging` until its peer has answered.
 */
export class PairNews {
  readonly #tell: (cause: string | undefined) => void;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isTold = false;
  #isTogether = false;

  /** `tell`: why there is no second replica; undefined: there is one again. */
  constructor(tell: (cause: string | undefined) => void) {
    this.#tell = tell;
  }

  /** `causeNow` is asked when it has lasted: the first cause is often only the first sign. */
  changed(state: PairState, causeNow: () => string): void {
    this.#isTogether = state === "together";
    if (this.#isTogether) {
      clearTimeout(this.#timer);
      this.#timer = null;
      this.#settle();
    } else if (state !== "syncing" && !this.#isTold) {
      this.#timer ??= setTimeout(() => {
        this.#isTold = true;
        this.#tell(causeNow());
      }, pairLastingMs);
    }
  }

  /** It was told before this object slept, or was started anew. */
  wasTold(): void {
    this.#isTold = true;
    if (this.#isTogether) this.#settle();
  }

  #settle(): void {
    if (!this.#isTold) return;
    this.#isTold = false;
    this.#tell(undefined);
  }
}
