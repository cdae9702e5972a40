import { Outbox } from "./outbox.ts";
import type { Clocks, SteadyMs } from "../../sip/time.ts";

export type ReleaseOptions = {
  /** See the ports of these names. */
  readonly soon: (run: () => void) => void;
  readonly now: Clocks["now"];
  readonly send: (outbox: Outbox, now: SteadyMs) => void;
  /** Acknowledges on every backhaul what may be acknowledged. */
  readonly acknowledge: (now: SteadyMs) => void;
  readonly threw: (error: unknown) => void;
};

/**
 * What commits have set free. It leaves when all that waited for them has gone on, in one frame for each access. An answer of the peer ends the wait
 * of many events. Accesses for which there is nothing get their acknowledgements alone.
 */
export class Release {
  readonly #options: ReleaseOptions;
  #outbox = new Outbox();
  #committed: ((now: SteadyMs) => void)[] = [];
  #over: ((now: SteadyMs) => void)[] = [];
  #isPlanned = false;

  constructor(options: ReleaseOptions) {
    this.#options = options;
  }

  /** A commit is done: who waited for it goes on soon. */
  committed(run: (now: SteadyMs) => void): void {
    this.#committed.push(run);
    this.#plan();
  }

  /** Takes what may leave now. `over` is called when it has left. */
  add(outbox: Outbox, over: ((now: SteadyMs) => void) | undefined): void {
    this.#outbox.addAll(outbox);
    if (over !== undefined) this.#over.push(over);
    this.#plan();
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    this.#options.soon(this.#leave);
  }

  readonly #leave = (): void => {
    const now = this.#options.now();
    this.#runAll(this.#committed, now);
    this.#committed = [];
    const outbox = this.#outbox;
    const over = this.#over;
    this.#outbox = new Outbox();
    this.#over = [];
    this.#isPlanned = false;
    this.#options.send(outbox, now);
    this.#options.acknowledge(now);
    this.#runAll(over, now);
  };

  /** What one of them throws takes no other along. The list may grow meanwhile. */
  #runAll(list: readonly ((now: SteadyMs) => void)[], now: SteadyMs): void {
    for (const run of list) {
      try {
        run(now);
      } catch (error) {
        this.#options.threw(error);
      }
    }
  }
}

/** One event waits: for its commit, and perhaps for a write that must be on the disk before anybody is told. */
export class Wait {
  readonly #freed: (now: SteadyMs) => void;
  #left = 0;

  constructor(freed: (now: SteadyMs) => void) {
    this.#freed = freed;
  }

  get isOver(): boolean {
    return this.#left === 0;
  }

  /** Waits for one thing more, unless it is done already. */
  for(isDone: boolean): void {
    if (!isDone) this.#left += 1;
  }

  readonly done = (now: SteadyMs): void => {
    this.#left -= 1;
    if (this.#left === 0) this.#freed(now);
  };
}
