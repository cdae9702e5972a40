import { peerSyncMs, peerSyncMsMax } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Whether a replica may still take itself for one of two that know of each other. One that has heard nothing of its peer for so long that it may have
 * been frozen asks what it has missed before any input. The peer has taken over what it had in progress.
 */
export class PairLease {
  /** When the latest batch left of which we know what became: nothing that happened since can have been missed for longer. */
  #heardAt = Number.NEGATIVE_INFINITY;
  /** What is asked since when, until when, and up to where the peer has said that it is ahead of us. */
  #question: { since: SteadyMs; until: SteadyMs; ahead: number } | undefined;

  /** What became of a batch that left at this time is known. */
  heard(sentAt: SteadyMs): void {
    this.#heardAt = Math.max(this.#heardAt, sentAt);
  }

  /** `sentAt`: when a batch left that counts as heard of, though it is under way yet. */
  isOver(leaseMs: number, sentAt: SteadyMs, now: SteadyMs): boolean {
    return now - Math.max(this.#heardAt, sentAt) > leaseMs;
  }

  get isAsking(): boolean {
    return this.#question !== undefined;
  }

  /** Until when the answer is waited for; Infinity: nothing is asked. */
  get asksUntil(): number {
    return this.#question?.until ?? Number.POSITIVE_INFINITY;
  }

  ask(now: SteadyMs, ackTimeoutMs: number): void {
    this.#question = { since: now, until: now + ackTimeoutMs, ahead: 0 };
  }

  /** A batch that left at this time has been answered. True: that says how far the peer is ahead, for it left after the question was put. */
  answered(sentAt: SteadyMs, ahead: number, now: SteadyMs): boolean {
    if (this.#question === undefined || sentAt < this.#question.since) return false;
    this.#question.ahead = ahead;
    this.#question.until = now + peerSyncMs;
    return true;
  }

  /** The peer says something: it is there, and has perhaps much to say before it comes to the answer. */
  spoke(now: SteadyMs): void {
    if (this.#question === undefined) return;
    this.#question.until = Math.max(this.#question.until, Math.min(now + peerSyncMs, this.#question.since + peerSyncMsMax));
  }

  /** `received`: what we have of the peer. True: nothing is missed any more. */
  settle(received: number): boolean {
    const question = this.#question;
    if (question === undefined || received < question.ahead || this.#heardAt < question.since) return false;
    this.#question = undefined;
    return true;
  }

  /** There is nobody who would answer. True: something was asked. */
  giveUp(): boolean {
    const wasAsking = this.#question !== undefined;
    this.#question = undefined;
    return wasAsking;
  }
}
