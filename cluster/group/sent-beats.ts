import type { Told } from "./cell-member.ts";
import { probeSpacingMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** What a heartbeat under way is for: only regular ones count as missed, or a burst of news would make three of one lost second. */
export type Sent = {
  readonly to: string;
  readonly told: Told;
  readonly at: SteadyMs;
  readonly timeoutMs: number;
  readonly isRegular: boolean;
  isLate: boolean;
};

/** Heartbeats under way, by their sequence. */
export class SentBeats extends Map<number, Sent> {
  /** One out of turn has left a moment ago: what it shows another would show as well. */
  isProbed(cell: string, now: SteadyMs): boolean {
    return [...this.values()].some(({ to, at, isRegular }) => to === cell && !isRegular && now - at < probeSpacingMs);
  }
}
