import { fnv1a } from "../flow/token.ts";
import { refusedInvitesMax, t1Ms } from "../limits.ts";
import type { SteadyMs } from "../time.ts";

/** RFC 3261 17.1.1.2: after Timer B no client sends a copy. */
const copiesMs = 64 * t1Ms;
const otherBasis = 0x9747b28c;

/**
 * INVITEs over UDP that got a 503 of ours, which has left no transaction. A copy may be on its way, or wait in a queue. It must not be let in when there is
 * room again: its caller would get 503, and then a call that he has given up. So it gets the same 503 for 64*T1 at least, and for three times that at most.
 *
 * One INVITE is 52 bits of hash and the seconds of its Retry-After. Another one with the same bits would be refused by mistake: one in 10^11.
 */
export class RefusedInvites {
  readonly #max: number;
  #recent = new Map<number, number>();
  #earlier = new Map<number, number>();
  #since: SteadyMs | undefined;

  constructor(max = refusedInvitesMax) {
    this.#max = max;
  }

  /** `key`: of its server transaction. */
  add(key: string, retryAfter: number, now: SteadyMs): void {
    this.#forget(now);
    // Half of what there may be: the earlier ones are as many at most.
    if (this.#recent.size >= this.#max / 2) this.#turn(now);
    this.#recent.set(hashOf(key), retryAfter);
  }

  /** What the Retry-After said; undefined: it was not refused, or long ago. */
  retryAfterOf(key: string, now: SteadyMs): number | undefined {
    if (this.#recent.size === 0 && this.#earlier.size === 0) return undefined;
    this.#forget(now);
    const hash = hashOf(key);
    return this.#recent.get(hash) ?? this.#earlier.get(hash);
  }

  #forget(now: SteadyMs): void {
    const pastMs = this.#since === undefined ? Number.POSITIVE_INFINITY : now - this.#since;
    if (pastMs < copiesMs) return;
    this.#turn(now);
    if (pastMs >= 2 * copiesMs) this.#earlier = new Map();
  }

  #turn(now: SteadyMs): void {
    this.#earlier = this.#recent;
    this.#recent = new Map();
    this.#since = now;
  }
}

function hashOf(key: string): number {
  return fnv1a(key) * 2 ** 20 + (fnv1a(key, otherBasis) >>> 12);
}
