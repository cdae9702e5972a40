import { nonceLifetimeSeconds, noncesRememberedMax, nonceWindow } from "../limits.ts";
import type { Nonce } from "./nonce.ts";
import type { SteadyMs } from "../time.ts";

type Uses = { readonly issuedAt: SteadyMs; highest: number; seen: number };

/**
 * Which counts of which nonces were used (RFC 7616 3.4 nc): no count twice. The memory is bounded. A nonce that had to be forgotten, and all that are
 * as old, count as stale from then on (`floor`). So forgetting never makes a replay possible. For the same reason a memory that starts empty takes no
 * nonce made before its start.
 *
 * Counts may come a little out of order, as datagrams do: {@link nonceWindow} counts below the highest one are told apart.
 */
export class NonceMemory {
  readonly #uses = new Map<string, Uses>();
  readonly #max: number;
  #floor: SteadyMs;

  /** `startedAt`: nonces made before are stale. */
  constructor(startedAt: SteadyMs, max: number = noncesRememberedMax) {
    this.#floor = startedAt;
    this.#max = max;
  }

  /** Nonces made before this moment are stale. */
  get floor(): SteadyMs {
    return this.#floor;
  }

  get size(): number {
    return this.#uses.size;
  }

  /** True when this use is the first with this count and the nonce is not too old to tell; then it is remembered. */
  use(nonce: Nonce, count: number, now: SteadyMs): boolean {
    if (nonce.issuedAt < this.#floor || count < 1) return false;
    const uses = this.#uses.get(nonce.id);
    if (uses === undefined) {
      this.#makeRoom(now);
      // Making room may have made this one too old.
      if (nonce.issuedAt < this.#floor) return false;
      this.#uses.set(nonce.id, { issuedAt: nonce.issuedAt, highest: count, seen: 1 });
      return true;
    }
    const behind = uses.highest - count;
    if (behind < 0) {
      uses.seen = -behind >= nonceWindow ? 1 : ((uses.seen << -behind) | 1) >>> 0;
      uses.highest = count;
      return true;
    }
    if (behind >= nonceWindow || ((uses.seen >>> behind) & 1) === 1) return false;
    uses.seen = (uses.seen | (1 << behind)) >>> 0;
    return true;
  }

  /** Drops what is over anyway; then, if need be, the one that was first used longest ago. */
  #makeRoom(now: SteadyMs): void {
    for (const [id, uses] of this.#uses) {
      const isOver = uses.issuedAt + nonceLifetimeSeconds * 1000 < now;
      if (!isOver && this.#uses.size < this.#max) return;
      this.#uses.delete(id);
      // What is over is refused by its time: only what could still be used raises the floor.
      if (!isOver) this.#floor = Math.max(this.#floor, uses.issuedAt + 1);
    }
  }
}
