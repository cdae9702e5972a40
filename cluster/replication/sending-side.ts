import { peerBatchOctets, peerDelayMs, peerDistanceMsMax, peerDistanceMsMin, peerQuietMs, peerRetryMs, peerRetryMsMax } from "../limits.ts";
import type { Memory } from "../../sip/record/memory.ts";
import type { Changes } from "../../sip/record/change-feed.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { Flights, type Flight } from "./flights.ts";
import { RoundTrip } from "./round-trip.ts";
import { serializeBatch, type PeerAnswer } from "./peer-batch.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** What a link needs of its record store. */
export type PairedStore = {
  readonly sequence: number;
  changedSince(after: number, max: number, all?: boolean): Changes;
  textOf(record: StateRecord): string;
  acknowledge(sequence: number): void;
  forgetPeer(): void;
};

/** Numbers the batches of a replica, to whichever cell they go: none comes twice. */
export class BatchIds {
  #last = 0;

  next(): number {
    this.#last += 1;
    return this.#last;
  }
}

/** Whose batch it is, and for which start of the peer; empty: none is known, the batch only asks. */
export type Addressing = { readonly cell: string; readonly boot: string; readonly peerBoot: string };

/** What the peer has of a replica, and when and in which chunks it gets the rest. */
export class SendingSide {
  readonly flights = new Flights();
  readonly roundTrip = new RoundTrip();
  readonly #store: PairedStore;
  /** The peer has everything up to here; `#covered` is further when what follows came from the peer itself. */
  #after = 0;
  #covered = 0;
  /** Up to here it is told even what came from the peer: its earlier boot may have forgotten it. */
  #wholeUntil = 0;
  /** It has acknowledged a complete batch. */
  #isTold = false;
  /** It waits until we have brought it up to here. */
  #promised = 0;
  readonly #ids: BatchIds;
  /** When the next batch is wanted, and before when it must not leave. */
  #sendAt: SteadyMs | undefined;
  #notBefore = 0;
  #failures = 0;
  #gaps = 0;
  /** Whether the peer is still the one that is known is to be asked. */
  #isDoubting = false;
  /** Somebody waits for what is up to here, as soon as can be. */
  #urgent = 0;
  /** When something was last wanted of the peer. */
  #lastNeed: number;
  /** Before this none leaves behind one that somebody has waited for: the more that held, the later. */
  #nextAt = 0;

  constructor(store: PairedStore, now: SteadyMs, ids: BatchIds) {
    this.#ids = ids;
    this.#store = store;
    this.#lastNeed = now;
    this.#sendAt = now;
  }

  /** The peer holds everything up to here. */
  get covered(): number {
    return this.#covered;
  }

  /** Where the replica is itself. */
  get sequence(): number {
    return this.#store.sequence;
  }

  /** The same, when there is something that the peer has not got; 0: it has everything. */
  get ahead(): number {
    return this.hasUntold() ? this.#store.sequence : 0;
  }

  /** A start of the peer that was not known: it has nothing of us. */
  meet(now: SteadyMs): void {
    this.#after = 0;
    this.#covered = 0;
    this.#promised = 0;
    this.#wholeUntil = this.#store.sequence;
    this.#isTold = false;
    this.#gaps = 0;
    this.#store.forgetPeer();
    this.sendBy(now);
  }

  /** Somebody is interested: a peer that does not answer goes on being asked. */
  need(now: SteadyMs): void {
    this.#lastNeed = now;
  }

  sendBy(at: SteadyMs): void {
    if (this.#sendAt === undefined || at < this.#sendAt) this.#sendAt = at;
  }

  /** Somebody waits for everything up to here. */
  hurry(sequence: number, now: SteadyMs): void {
    this.#urgent = Math.max(this.#urgent, sequence);
    this.#hurry(now);
  }

  /** The peer is there: whatever kept a batch from leaving counts no more. */
  isThere(now: SteadyMs): void {
    this.#failures = 0;
    this.#notBefore = now;
  }

  /** Another start of the peer has spoken: it is asked at once which one it is. */
  doubt(now: SteadyMs): void {
    this.#isDoubting = true;
    this.#notBefore = now;
    this.sendBy(now);
  }

  /** The peer has been told that we are ahead of it up to here. */
  promise(sequence: number): void {
    this.#promised = Math.max(this.#promised, sequence);
  }

  /**
   * When the next batch may leave, ms; undefined: none is wanted, or one is under way that must be answered first. Beside others leaves only what
   * somebody waits for, and only to a peer that has all but what is under way (`mayOverlap`).
   */
  leavesAt(mayOverlap: boolean): number | undefined {
    if (this.#sendAt === undefined) return undefined;
    const at = Math.max(this.#sendAt, this.#notBefore);
    if (this.flights.isEmpty) return at;
    const isWanted = mayOverlap && this.#isTold && !this.#isDoubting && this.#urgent > this.#told;
    const overlapAt = isWanted ? this.flights.overlapAt(this.roundTrip.meanMs ?? 0) : undefined;
    return overlapAt === undefined ? undefined : Math.max(at, overlapAt);
  }

  /** True when there is something that the peer has not got from us and did not tell us. */
  hasUntold(): boolean {
    if (!this.#isTold) return true;
    if (this.#covered === this.#store.sequence) return false;
    if (this.#store.changedSince(this.#covered, 1).records.length > 0) return true;
    // All that has changed since came from the peer.
    this.#cover(this.#store.sequence);
    return false;
  }

  /** True when a peer that is there wants nothing of us, and is not to be asked anything: no batch leaves. */
  rest(): boolean {
    if (this.#isDoubting || this.hasUntold() || this.#after < this.#promised) return false;
    this.#sendAt = undefined;
    return true;
  }

  /** The next batch, as it leaves now. `memory`: of the replica, for a peer that has not got everything yet. */
  next(to: Addressing, memory: (() => Memory) | undefined, now: SteadyMs): { readonly id: number; readonly text: string } {
    this.#sendAt = undefined;
    this.#isDoubting = false;
    const isWaitedFor = this.#urgent > this.#told;
    const id = this.#ids.next();
    const { cell, boot, peerBoot } = to;
    const after = this.flights.latest?.sequence ?? this.#after;
    // Nothing but a question to a peer that is not known, or that has failed to answer.
    const isQuestion = peerBoot === "" || this.#failures > 0;
    const { texts, sequence, isComplete } = isQuestion ? { texts: [], sequence: after, isComplete: false } : this.#collect();
    if (isWaitedFor) this.#nextAt = now + Math.min(Math.max(peerDistanceMsMin, texts.length), peerDistanceMsMax);
    const told = this.#isTold || memory === undefined ? {} : { memory: memory() };
    const text = serializeBatch({ cell, boot, peerBoot, after, sequence, isComplete, ...told }, texts);
    this.flights.add({ id, sentAt: now, sequence, isComplete, held: this.#after, excusedMs: 0 });
    return { id, text };
  }

  /** The peer has everything up to `received`. */
  acknowledged({ isComplete }: Flight, received: number, now: SteadyMs): void {
    this.#gaps = 0;
    this.#after = Math.max(this.#after, received);
    this.#cover(Math.max(this.#covered, received));
    if (isComplete) this.#isTold = true;
    else this.sendBy(now);
  }

  /** After a complete batch: is there more already? */
  goOn(now: SteadyMs): void {
    if (this.hasUntold() || this.#after < this.#promised) this.sendBy(now + peerDelayMs);
  }

  /** What somebody waits for is not under way yet. */
  hurryOn(now: SteadyMs): void {
    if (this.#urgent > this.#told) this.#hurry(now);
  }

  /**
   * The peer did not take a batch. False: it has all that it had when this one left, so this one has only overtaken another, and is said again. True:
   * it lacks what we thought it had. Once that is an accident of the way; again and again it must not be a storm.
   */
  missed({ held }: Flight, { received, isUnknown }: PeerAnswer, leaseMs: number, now: SteadyMs): boolean {
    if (isUnknown !== true && received >= held) {
      this.sendBy(now);
      return false;
    }
    this.#after = received;
    this.#covered = received;
    if (received === 0) this.#wholeUntil = this.#store.sequence;
    this.#gaps += 1;
    if (this.#gaps > 1) this.retryLater(leaseMs, now);
    else this.sendBy(now);
    return true;
  }

  /** Nobody has answered: it is asked again after growing pauses, and not at all when nobody has wanted anything for long. */
  retryLater(leaseMs: number, now: SteadyMs): void {
    const most = Math.min(peerRetryMsMax, leaseMs / 4);
    this.#notBefore = now + Math.min(peerRetryMs * 2 ** Math.min(this.#failures, 10), most);
    this.#failures += 1;
    const isQuiet = now - this.#lastNeed > peerQuietMs;
    this.#sendAt = isQuiet ? undefined : this.#notBefore;
  }

  #hurry(now: SteadyMs): void {
    this.sendBy(Math.max(now, this.#nextAt));
  }

  /** Up to here the peer has everything, or it is under way. */
  get #told(): number {
    return Math.max(this.#covered, this.flights.latest?.sequence ?? 0);
  }

  /** The next chunk. */
  #collect(): { readonly texts: string[]; readonly sequence: number; readonly isComplete: boolean } {
    const texts: string[] = [];
    let octets = 0;
    let sequence = this.#told;
    while (octets < peerBatchOctets) {
      const changes = this.#store.changedSince(sequence, 1, sequence < this.#wholeUntil);
      if (changes.records.length === 0) return { texts, sequence: this.#store.sequence, isComplete: true };
      for (const record of changes.records) {
        const text = this.#store.textOf(record);
        texts.push(text);
        octets += text.length + 1;
      }
      ({ sequence } = changes);
    }
    return { texts, sequence, isComplete: sequence === this.#store.sequence };
  }

  #cover(sequence: number): void {
    this.#covered = sequence;
    this.#store.acknowledge(sequence);
  }
}
