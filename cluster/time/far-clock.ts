import type { SteadyMs, WallMs } from "../../sip/time.ts";

/**
 * What has waited on its way, in a frozen process or behind a cut, must not be delivered when its sender has long done something else. Whoever
 * sends says until when it is wanted, and by the RECEIVER's clock, because clocks differ and may be set: this is what that clock is known to say.
 *
 * The other side's every answer says its time. It is taken for the time at which the answer was read, which is later. So an error only makes things
 * count as late too early. Then the receiver refuses, says its time again, and gets the same once more. An estimate from one side alone (what came
 * with the least delay lately) would take a clock that was set back for a delay, for as long as it remembers.
 */
export class FarClock {
  /** What it is ahead of our steady clock, ms; undefined: it has never said anything. */
  #aheadMs: number | undefined;

  /** The other side says that it is `theirs` there; it is `now` here. What is no number tells nothing. */
  heard(theirs: WallMs, now: SteadyMs): void {
    if (Number.isFinite(theirs)) this.#aheadMs = theirs - now;
  }

  /** What their clock says at this moment; undefined: nobody knows. */
  theirs(moment: SteadyMs): WallMs | undefined {
    return this.#aheadMs === undefined ? undefined : moment + this.#aheadMs;
  }
}

/**
 * One thing to send, again when it was refused as late. Nothing new has come of it then. As long as its sender has not done something else it is as
 * good as new.
 */
export class TimelySend {
  readonly #clock: FarClock;
  readonly #validMs: number;
  readonly #givenUpAt: SteadyMs;
  #refusals = 0;

  /** Each time it is sent it is wanted for `validMs`; after `patienceMs` it is not sent again. */
  constructor(clock: FarClock, now: SteadyMs, validMs: number, patienceMs: number) {
    this.#clock = clock;
    this.#validMs = validMs;
    this.#givenUpAt = now + patienceMs;
  }

  /** Sent now, until when it is wanted by the receiver's clock; undefined: that must be asked for. */
  until(now: SteadyMs): WallMs | undefined {
    return this.#clock.theirs(now + this.#validMs);
  }

  /** It was refused as late, or for want of a time, and nothing came of it. True: send it again. */
  refused(theirs: WallMs, now: SteadyMs): boolean {
    this.#clock.heard(theirs, now);
    this.#refusals += 1;
    return this.until(now) !== undefined && now < this.#givenUpAt && this.#refusals < refusalsMax;
  }
}

/** One for the first frame ever, one for a clock that was set or a way that was cut. Who refuses more often will go on. */
const refusalsMax = 3;

/** By the receiver: whether what is wanted until then comes too late. Undefined: it is wanted whenever it comes. */
export function isLate(until: WallMs | undefined, now: WallMs): boolean {
  return until !== undefined && now > until;
}
