import { endedKeysMax } from "../limits.ts";
import { inviteLifetimeMs } from "../../sip/limits.ts";
import { fnv1a } from "../../sip/flow/token.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Tells responses that come too late from others (RFC 6026 7.3, RFC 4320 4.2). Another replica, or an earlier start of this one, would have waited
 * for the others.
 *
 * A branch that names this cell is ours. It is late when no transaction waits for it, once nothing of an earlier start can be in progress any more.
 * What ended before, and what was forwarded in the other cell's name, is remembered for as long as an answer may take. It is remembered as hashes of
 * 30 bits in two generations. One response of a billion is taken for another's, as if the network had lost it.
 */
export class LateResponses {
  readonly #cell: string;
  /** Since when this replica knows what is forwarded in its cell's name. */
  #startedAt: SteadyMs;
  #hasMissed = false;
  #young = new Set<number>();
  #old = new Set<number>();
  #turnedAt = 0;

  constructor(cell: string, startedAt: SteadyMs) {
    this.#cell = cell;
    this.#startedAt = startedAt;
  }

  /** A client transaction has ended here; `mark`: what stood beside its branch. */
  ended(branch: string, mark: string, method: string, now: SteadyMs): void {
    if (this.#isOld(now) && mark.startsWith(`${this.#cell}*`)) return;
    if (now - this.#turnedAt > inviteLifetimeMs || this.#young.size >= endedKeysMax) {
      this.#old = now - this.#turnedAt > 2 * inviteLifetimeMs ? new Set() : this.#young;
      this.#young = new Set();
      this.#turnedAt = now;
    }
    this.#young.add(hashOf(branch, method));
  }

  /** It never left, or did not arrive. The phone may have had it from another replica all the same, and answer that. */
  undelivered(branch: string, method: string): void {
    const hash = hashOf(branch, method);
    this.#young.delete(hash);
    this.#old.delete(hash);
  }

  /** `cell`: the one that the branch's mark names. */
  isLate(branch: string, cell: string, method: string, now: SteadyMs): boolean {
    if (this.#isOld(now) && cell === this.#cell) return true;
    const hash = hashOf(branch, method);
    return this.#young.has(hash) || this.#old.has(hash);
  }

  /** An access has connected: the other replica may have forwarded in this cell's name what came by it before. */
  mayHaveMissed(): void {
    this.#hasMissed = true;
  }

  /** Nothing of an earlier start can be in progress any more, or of a time when this replica could not be reached. */
  #isOld(now: SteadyMs): boolean {
    if (this.#hasMissed) this.#startedAt = now;
    this.#hasMissed = false;
    return now - this.#startedAt > 2 * inviteLifetimeMs;
  }
}

function hashOf(branch: string, method: string): number {
  return fnv1a(`${branch} ${method}`) & 0x3fffffff;
}
