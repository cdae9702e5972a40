import type { SteadyMs } from "../../sip/time.ts";
import { pacedBurst, pacedCountMax, pacedMeanMs, pacedOctetsMax, pacedPerMsMin, pacedSpreadMs } from "../limits.ts";

/** What became of a datagram: it may leave at once, waits for its turn, or was dropped as a network would drop it. */
export type Verdict = "leaves" | "waits" | "dropped";

/** An address and port that datagrams are sent to: what {@link Pacing} remembers of it. There is one for every phone, so it is small. */
export class PacedDestination<Datagram> {
  /** Datagrams that may leave now, */
  allowance: number = pacedBurst;
  /** and how many a millisecond it had lately, */
  meanPerMs = 0;
  /** both at this time. */
  countedAt: SteadyMs = Number.NEGATIVE_INFINITY;
  /** What waits, from `first` on. */
  waiting: Datagram[] | undefined;
  first = 0;

  get count(): number {
    return this.waiting === undefined ? 0 : this.waiting.length - this.first;
  }
}

/**
 * Spreads what leaves for one destination, so that its socket does not overflow. Linux gives a socket room for 90 to 160 datagrams of SIP, and the
 * process that is about to read them may wait some milliseconds for its processor.
 *
 * `pacedBurst` datagrams leave at once. After that so many leave in a millisecond as the largest of three rates allows:
 *
 * - `pacedPerMsMin`;
 * - twice what the destination was sent in the last second: who is sent much all the time takes it;
 * - what empties its queue in about `pacedSpreadMs`.
 *
 * So nothing waits at an even rate, and a burst is spread. The order to one destination is kept. No destination waits for another one. No clock and
 * no socket: `now` is an argument, datagrams are returned.
 */
export class Pacing<Datagram extends { readonly octets: Uint8Array }> {
  /** Those with datagrams that wait. */
  readonly #queues = new Set<PacedDestination<Datagram>>();
  #octets = 0;

  /** True while datagrams wait: {@link due} is to be called a millisecond later. */
  get isWaiting(): boolean {
    return this.#queues.size > 0;
  }

  /** A datagram is to be sent. */
  offer(destination: PacedDestination<Datagram>, datagram: Datagram, now: SteadyMs): Verdict {
    refill(destination, now);
    destination.meanPerMs += 1 / pacedMeanMs;
    if (destination.waiting === undefined && destination.allowance >= 1) {
      destination.allowance -= 1;
      return "leaves";
    }
    if (destination.count >= pacedCountMax || this.#octets + datagram.octets.length > pacedOctetsMax) return "dropped";
    destination.waiting ??= [];
    destination.waiting.push(datagram);
    this.#octets += datagram.octets.length;
    this.#queues.add(destination);
    return "waits";
  }

  /** The datagrams whose turn it is: one queue after the other, each in its order. */
  due(now: SteadyMs): Datagram[] {
    const leaving: Datagram[] = [];
    for (const destination of this.#queues) {
      refill(destination, now);
      const count = Math.min(Math.floor(destination.allowance), destination.count);
      destination.allowance -= count;
      this.#take(destination, count, leaving);
    }
    return leaving;
  }

  /** All that waits: there is no more time. */
  takeAll(): Datagram[] {
    const leaving: Datagram[] = [];
    for (const destination of this.#queues) this.#take(destination, destination.count, leaving);
    return leaving;
  }

  #take(destination: PacedDestination<Datagram>, count: number, leaving: Datagram[]): void {
    const waiting = destination.waiting ?? [];
    const end = destination.first + count;
    for (const datagram of waiting.slice(destination.first, end)) {
      this.#octets -= datagram.octets.length;
      leaving.push(datagram);
    }
    destination.first = end;
    if (end === waiting.length) {
      destination.waiting = undefined;
      destination.first = 0;
      this.#queues.delete(destination);
    } else if (end * 2 > waiting.length) {
      // What has left is forgotten when it is most of the queue.
      destination.waiting = waiting.slice(end);
      destination.first = 0;
    }
  }
}

/** Counts what the time since the last look allows. */
function refill<Datagram>(destination: PacedDestination<Datagram>, now: SteadyMs): void {
  const elapsedMs = now - destination.countedAt;
  if (elapsedMs <= 0) return;
  destination.countedAt = now;
  const perMs = Math.max(pacedPerMsMin, 2 * destination.meanPerMs, destination.count / pacedSpreadMs);
  // Who stood still does not catch up at once: what may leave in two milliseconds is the most.
  destination.allowance = Math.min(Math.max(pacedBurst, 2 * perMs), destination.allowance + perMs * elapsedMs);
  destination.meanPerMs *= Math.max(0, 1 - elapsedMs / pacedMeanMs);
}
