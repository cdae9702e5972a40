import { FarClock, TimelySend } from "../cluster/time/far-clock.ts";
import { frameAnswerMsMax, frameValidMs } from "./limits.ts";
import type { Clocks, SteadyMs, WallMs } from "../sip/time.ts";

/** What became of one request. */
export type TimelyOutcome = {
  readonly result: Uint8Array | Error;
  /** The other cell refused it as late, or because it named no time. */
  readonly isRefused: boolean;
  /** What the other cell's clock said; NaN: nothing. */
  readonly clock: WallMs;
  /** When that was read here. */
  readonly heardAt: SteadyMs;
};

/**
 * Sends a request once. Whoever gets it must not take it after `until` (ms, by his own clock). Undefined: nobody here knows that clock, and he is to
 * refuse it and say the time. `over` is called after it has returned.
 */
export type SendOnce<Request> = (cell: string, request: Request, until: WallMs | undefined, over: (outcome: TimelyOutcome) => void) => void;

/**
 * Requests to other cells that must not be taken when they are not waited for any more, and what is known of those cells' clocks. One that was refused
 * as late is sent again: nothing has come of it.
 */
export class TimelyCalls<Request> {
  readonly #send: SendOnce<Request>;
  readonly #now: Clocks["now"];
  readonly #clocks = new Map<string, FarClock>();

  constructor(send: SendOnce<Request>, now: Clocks["now"]) {
    this.#send = send;
    this.#now = now;
  }

  /** Brings a request to another cell within {@link frameValidMs}. `over` gets its answer, or why it was not taken, or that nobody knows. */
  bring(cell: string, request: Request, over: (result: Uint8Array | Error) => void): void {
    const now = this.#now();
    const clock = this.#clockOf(cell);
    this.#try(cell, request, new TimelySend(clock, now, frameValidMs, frameAnswerMsMax), now, over);
  }

  /** The clock of another cell was read. */
  heard(cell: string, clock: WallMs): void {
    this.#clockOf(cell).heard(clock, this.#now());
  }

  #try(cell: string, request: Request, timely: TimelySend, now: SteadyMs, over: (result: Uint8Array | Error) => void): void {
    this.#send(cell, request, timely.until(now), ({ result, isRefused, clock, heardAt }) => {
      if (isRefused && timely.refused(clock, heardAt)) return this.#try(cell, request, timely, this.#now(), over);
      this.#clockOf(cell).heard(clock, heardAt);
      over(result);
    });
  }

  #clockOf(cell: string): FarClock {
    let clock = this.#clocks.get(cell);
    if (clock === undefined) this.#clocks.set(cell, (clock = new FarClock()));
    return clock;
  }
}
