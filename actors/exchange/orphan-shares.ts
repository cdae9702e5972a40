import {
  orphanCancelMs,
  orphansOfStrangersMax,
  orphansPerCalleeMax,
  orphansPerSourceMax,
  orphansPerStrangerMax,
  orphansRememberedMax,
} from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A CANCEL of an INVITE that nobody knows. */
export type Orphan = {
  readonly source: string;
  readonly callee: string;
  /** Its source may be forged, and is nobody's who is registered here. */
  readonly isStranger: boolean;
  /** Until when it counts; 0: it has not been counted. */
  until: SteadyMs;
};

/**
 * How many such CANCELs are under way. Each goes to all phones of somebody, and proves nothing. Once a phone has said 487 it was true, and counts no
 * more; else it counts for {@link orphanCancelMs}. Strangers have shares of their own, so that forged datagrams do not take the place of callers
 * who are known.
 */
export class OrphanShares {
  /** In the order of their ends. */
  readonly #counted = new Set<Orphan>();
  readonly #counts = new Map<string, number>();
  #strangers = 0;

  get size(): number {
    return this.#counted.size;
  }

  /** False: there are too many of its kind. */
  count(orphan: Orphan, now: SteadyMs): boolean {
    if (orphan.until !== 0) return true;
    for (const first of this.#counted) {
      if (first.until > now) break;
      this.release(first);
    }
    const { source, callee, isStranger } = orphan;
    if (this.#counted.size >= orphansRememberedMax || this.#of(source) >= (isStranger ? orphansPerStrangerMax : orphansPerSourceMax))
      return false;
    if (isStranger && (this.#strangers >= orphansOfStrangersMax || this.#of(`>${callee}`) >= orphansPerCalleeMax)) return false;
    orphan.until = now + orphanCancelMs;
    this.#counted.add(orphan);
    this.#add(orphan, 1);
    return true;
  }

  /** It was true. */
  release(orphan: Orphan): void {
    if (this.#counted.delete(orphan)) this.#add(orphan, -1);
  }

  #of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  #add({ source, callee, isStranger }: Orphan, one: 1 | -1): void {
    const keys = [source];
    if (isStranger) {
      this.#strangers += one;
      keys.push(`>${callee}`);
    }
    for (const key of keys) {
      const count = this.#of(key) + one;
      if (count > 0) this.#counts.set(key, count);
      else this.#counts.delete(key);
    }
  }
}
