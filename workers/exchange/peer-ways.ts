import type { PeerPort } from "../../actors/exchange/ports.ts";
import type { PeerBatches } from "./peer-batches.ts";

/** The ways to the peer, wherever the map has it: one to each cell that it has had it in. */
export class PeerWays implements PeerPort {
  readonly #make: (cell: string) => PeerBatches;
  readonly #ways = new Map<string, PeerBatches>();
  #latest: PeerBatches | undefined;

  constructor(make: (cell: string) => PeerBatches) {
    this.#make = make;
  }

  /** What the last batch that was not answered met; empty: none has failed since that was forgotten. */
  get lastError(): string {
    return this.#latest?.lastError ?? "";
  }

  forgetError(): void {
    this.#latest?.forgetError();
  }

  send(id: number, batch: string, cell: string): void {
    let way = this.#ways.get(cell);
    if (way === undefined) this.#ways.set(cell, (way = this.#make(cell)));
    this.#latest = way;
    way.send(id, batch);
  }

  abandon(id: number): void {
    for (const way of this.#ways.values()) way.abandon(id);
  }
}
