import { otherVersionsSaidMax, otherVersionsSaidMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Of whom it was said that they speak another version. Their signatures cannot be checked, so a name may be anybody's invention: only so many lines
 * come of it.
 */
export class VersionRefusals {
  readonly #said = new Map<string, number>();
  #since = 0;

  /** Whether this is to be said. */
  isNews(who: string, theirs: number, now: SteadyMs): boolean {
    if (now - this.#since >= otherVersionsSaidMs) {
      this.#since = now;
      this.#said.clear();
    }
    if (this.#said.get(who) === theirs || this.#said.size >= otherVersionsSaidMax) return false;
    this.#said.set(who, theirs);
    return true;
  }
}
