import type { PairState } from "../../cluster/replication/peer-link.ts";
import { handedOverMs } from "../limits.ts";
import type { MakeTimer, Timer } from "../timer.ts";

/** What is left of a replica that the map has no more: it is handed over to the primary, and then forgotten. */
export class Leaving {
  readonly #timer: Timer;

  /** `over`: the primary has had all of it for long enough. */
  constructor(timer: MakeTimer, over: () => void) {
    this.#timer = timer(over);
  }

  /** What the primary has of it has changed. */
  changed(state: PairState): void {
    if (state === "together") this.#timer.set(handedOverMs);
    else this.#timer.clear();
  }
}
