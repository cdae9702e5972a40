import { crowdedLineMs, crowdedUserOctetsMax } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** Requests that got 503 because too many wait, as lines of the log. A flood must not fill the disk: what had no line is counted in the next one. */
export class CrowdedLines {
  #nextAt: SteadyMs = 0;
  #unwritten = 0;

  /** `callee`: "" for somebody outside. The line; undefined: one was written a moment ago. */
  lineOf(callee: string, now: SteadyMs): string | undefined {
    if (now < this.#nextAt) {
      this.#unwritten += 1;
      return undefined;
    }
    this.#nextAt = now + crowdedLineMs;
    const unwritten = this.#unwritten === 0 ? "" : `, and ${this.#unwritten} more before`;
    this.#unwritten = 0;
    const whom = callee === "" ? "somebody outside" : callee.slice(0, crowdedUserOctetsMax);
    return `a request for ${whom} was refused with 503, too many wait for an answer${unwritten}`;
  }
}
