import { pairOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { WallMs } from "../../sip/time.ts";

/** Exchanges of one cell write one after the other, as long as there are no more of them than this. */
const spreadOver = 16;

/**
 * When a replica writes whose peer has everything as well. Both take turns, by the wall clock: one in the first `flushMs` of two, the other one in the second.
 * So a change is on one of both disks within `flushMs`, as it was when both wrote in each, and on both within twice that. Where the clocks of two cells differ it
 * may be twice that for both. A write stops all objects of a cell, and is a row.
 */
export class FlushTurns {
  readonly #periodMs: number;
  readonly #offsetMs: number;

  constructor(map: ClusterMap, exchange: number, cell: string) {
    const { flushMs } = map;
    this.#periodMs = 2 * flushMs;
    const spreadMs = ((exchange % spreadOver) / spreadOver) * flushMs;
    this.#offsetMs = spreadMs + (pairOf(map, exchange).primary === cell ? 0 : flushMs);
  }

  /** How long it is until this replica's next turn, ms: more than 0, and `2 * flushMs` at most. */
  waitMs(now: WallMs): number {
    if (this.#periodMs === 0) return 0;
    const sinceMs = (now - this.#offsetMs) % this.#periodMs;
    return this.#periodMs - (sinceMs < 0 ? sinceMs + this.#periodMs : sinceMs);
  }
}
