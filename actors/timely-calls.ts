import { FarClock, TimelySend } from "../cluster/time/far-clock.ts";
import { frameAnswerMsMax, frameValidMs } from "./limits.ts";

/** What became of one request. */
export type TimelyOutcome = {
  readonly result: Uint8Array | Error;
  /** The other cell refused it as late, or because it named no time. */
  readonly isRefused: boolean;
  /** What the other cell's clock said, ms; NaN: nothing. */
  readonly clock: number;
  /** When that was read here, ms. */
  readonly heardAt: number;
};

/**
 * Sends a request once. Whoever gets it must not take it after `until` (ms, by his own clock); undefined: nobody here knows that clock, and he is
 * to refuse it and say the time. `over` is called after it has returned.
 */
export type SendOnce<Request> = (
  cell: string,
  request: Request,
  until: number | undefined,
  over: (outcome: TimelyOutcome, now: number) => void,
) => void;

/**
 * Requests to other cells that must not be taken when they are not waited for any more, and what is known of those cells' clocks. One that was refused
 * as late is sent again: nothing has come of it.
 */
export class TimelyCalls<Request> {
  readonly #send: SendOnce<Request>;
  readonly #clocks = new Map<string, FarClock>();

  constructor(send: SendOnce<Request>) {
    this.#send = send;
  }

  /** Brings a request to another cell within {@link frameValidMs}. `over` gets its answer, or why it was not taken, or that nobody knows. */
  bring(cell: string, request: Request, now: number, over: (result: Uint8Array | Error, now: number) => void): void {
    const clock = this.#clockOf(cell);
    this.#try(cell, request, new TimelySend(clock, now, frameValidMs, frameAnswerMsMax), now, over);
  }

  /** The clock of another cell was read. */
  heard(cell: string, clock: number, now: number): void {
    this.#clockOf(cell).heard(clock, now);
  }

  #try(cell: string, request: Request, timely: TimelySend, now: number, over: (result: Uint8Array | Error, now: number) => void): void {
    this.#send(cell, request, timely.until(now), ({ result, isRefused, clock, heardAt }, at) => {
      if (isRefused && timely.refused(clock, heardAt)) return this.#try(cell, request, timely, at, over);
      this.heard(cell, clock, heardAt);
      over(result, at);
    });
  }

  #clockOf(cell: string): FarClock {
    let clock = this.#clocks.get(cell);
    if (clock === undefined) this.#clocks.set(cell, (clock = new FarClock()));
    return clock;
  }
}
