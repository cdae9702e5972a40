import { peerFlightsMax, peerLateMs, peerOverlapMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A batch that has left and is not answered. */
export type Flight = {
  readonly id: number;
  sentAt: SteadyMs;
  /** Up to here the peer has everything when it has taken this batch, and all before it. */
  readonly sequence: number;
  readonly isComplete: boolean;
  /** What the peer had acknowledged when it left. */
  readonly held: number;
  /** So much longer its answer is waited for, because this side was late itself; 0: it has not been yet. */
  excusedMs: number;
};

/** When a peer that has not answered this batch is judged, ms. */
export function judgedAt({ sentAt, excusedMs }: Flight, ackTimeoutMs: number): number {
  return sentAt + ackTimeoutMs + excusedMs;
}

/**
 * Whether a peer that has not answered is too late. Not when this side looks late: it was held up itself, and the answer may lie unread. It waits as much
 * longer then, once for each batch.
 */
export function isLagging(flight: Flight, ackTimeoutMs: number, now: SteadyMs): boolean {
  const lateMs = now - judgedAt(flight, ackTimeoutMs);
  if (lateMs < 0) return false;
  if (lateMs < peerLateMs || flight.excusedMs > 0) return true;
  flight.excusedMs = lateMs + Math.min(lateMs, ackTimeoutMs);
  return false;
}

/**
 * The batches under way to the peer, in the order in which they left. In the rule one: the next one collects until its answer is there. An answer
 * that takes longer than {@link peerOverlapMs} comes from far away. A commit would wait for two answers then, the one under way and its own. So
 * another one may leave before, where somebody waits.
 */
export class Flights {
  #list: Flight[] = [];

  get isEmpty(): boolean {
    return this.#list.length === 0;
  }

  get oldest(): Flight | undefined {
    return this.#list[0];
  }

  get latest(): Flight | undefined {
    return this.#list.at(-1);
  }

  add(flight: Flight): void {
    this.#list.push(flight);
  }

  /** Takes one out, which is answered or has failed; undefined: nobody waits for it any more. */
  take(id: number): Flight | undefined {
    const index = this.#list.findIndex((flight) => flight.id === id);
    return index < 0 ? undefined : this.#list.splice(index, 1)[0];
  }

  /** Takes out those that left after this time. */
  takeAfter(id: number): Flight[] {
    const taken = this.#list.filter((flight) => flight.id > id);
    if (taken.length > 0) this.#list = this.#list.filter((flight) => flight.id <= id);
    return taken;
  }

  /**
   * When another batch may leave beside those that are under way, ms; undefined: not before an answer. Only what is small and whole is overtaken. They spread
   * over the time that an answer takes, so that none has to wait for a whole one.
   */
  overlapAt(roundTripMs: number): number | undefined {
    const { latest } = this;
    if (latest === undefined || !latest.isComplete || this.#list.length >= peerFlightsMax) return undefined;
    return latest.sentAt + Math.max(peerOverlapMs, roundTripMs / peerFlightsMax);
  }
}
