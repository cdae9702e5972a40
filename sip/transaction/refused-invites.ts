import { fnv1a } from "../flow/token.ts";
import { refusedInvitesMax, t1Ms } from "../limits.ts";
import type { SteadyMs } from "../time.ts";
import { TwoGenerations } from "../two-generations.ts";

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
  readonly #retryAfters: TwoGenerations<number, number>;

  constructor(max = refusedInvitesMax) {
    this.#retryAfters = new TwoGenerations(copiesMs, max / 2);
  }

  /** `key`: of its server transaction. */
  add(key: string, retryAfter: number, now: SteadyMs): void {
    this.#retryAfters.set(hashOf(key), retryAfter, now);
  }

  /** What the Retry-After said; undefined: it was not refused, or long ago. */
  retryAfterOf(key: string, now: SteadyMs): number | undefined {
    if (this.#retryAfters.isEmpty) return undefined;
    this.#retryAfters.look(now);
    return this.#retryAfters.get(hashOf(key));
  }
}

function hashOf(key: string): number {
  return fnv1a(key) * 2 ** 20 + (fnv1a(key, otherBasis) >>> 12);
}
