import { RateBound } from "../../cluster/overload/rate-bound.ts";
import { sourceOfFlow } from "../../sip/flow/source.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { TwoGenerations } from "../../sip/two-generations.ts";
import {
  strayCancelsBurst,
  strayCancelsOfSourceBurst,
  strayCancelsOfSourcePerSecond,
  strayCancelsPerSecond,
  strayCancelSourcesMax,
} from "../limits.ts";

/** A source that has sent nothing for so long has all of its share again, so nothing need be known of it. */
const rememberedMs = (strayCancelsOfSourceBurst / strayCancelsOfSourcePerSecond) * 1_000;

/** CANCELs that belong to nothing, as far as elders are asked for them: so many of all sources, and of those a share for each. */
export class StrayCancels {
  readonly #all: RateBound;
  readonly #ofSources = new TwoGenerations<string, RateBound>(rememberedMs, strayCancelSourcesMax / 2);

  constructor(now: SteadyMs) {
    this.#all = new RateBound(strayCancelsPerSecond, strayCancelsBurst, now);
  }

  /** One more came on this flow. False: it is one too many. */
  take(flow: string, now: SteadyMs): boolean {
    const own = this.#of(sourceOfFlow(flow), now);
    if (!own.take(now)) return false;
    if (this.#all.take(now)) return true;
    own.giveBack();
    return false;
  }

  /** It belongs to something after all. */
  giveBack(flow: string, now: SteadyMs): void {
    this.#of(sourceOfFlow(flow), now).giveBack();
    this.#all.giveBack();
  }

  #of(source: string, now: SteadyMs): RateBound {
    const known = this.#ofSources.get(source) ?? new RateBound(strayCancelsOfSourcePerSecond, strayCancelsOfSourceBurst, now);
    if (this.#ofSources.recentOf(source) === undefined) this.#ofSources.set(source, known, now);
    return known;
  }
}
