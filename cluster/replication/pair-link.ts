import {
  pairBatchOctets,
  pairBootsRememberedMax,
  pairBurstMax,
  pairDelayMs,
  pairQuietMs,
  pairRetryMs,
  pairRetryMsMax,
  pairSyncMs,
  pairSyncMsMax,
} from "../limits.ts";
import type { Memory } from "../../sip/record/memory.ts";
import type { Changes } from "../../sip/record/record-store.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { Flights, isLagging, judgedAt, type Flight } from "./flights.ts";
import { serializeBatch, type PairAnswer, type PairBatch } from "./pair-batch.ts";

/**
 * What a replica is to its pair.
 * - `syncing`: it has started and has not caught up: it does not serve.
 * - `together`: the pair holds everything but what has changed just now.
 * - `lagging`: the pair holds less, or does not answer in time: what must not be forgotten goes to the disk first.
 * - `away`: the same, and the pair is known to be gone.
 */
export type PairState = "syncing" | "together" | "lagging" | "away";

/** Why a pair is `away` that nobody has found when it was called: the same word as the core group has for it. */
export const refusedCause = "connection refused";
/** The same, of a pair that speaks another version of the protocol. */
export const otherVersionCause = "another version";

/** What a link wants done. Drain {@link PairLink.takeEffects} after every call. */
export type PairEffect =
  /** Bring this batch to the pair, and say what became of it: {@link PairLink.answered} or {@link PairLink.failed}. */
  | { readonly type: "send"; readonly id: number; readonly text: string }
  /** Nobody waits for the answer to that batch any more. */
  | { readonly type: "abandon"; readonly id: number }
  | { readonly type: "state"; readonly state: PairState; readonly cause: string }
  /** Everything is known here that the pair has made until then, ms; `Infinity`: and it goes on so. */
  | { readonly type: "known"; readonly until: number }
  /** The pair has told everything, and how far back that goes. */
  | { readonly type: "memory"; readonly memory: Memory }
  /** Commits up to this sequence number are done. `needsDisk`: not by the pair, so write everything to the disk before they count. */
  | { readonly type: "committed"; readonly sequence: number; readonly needsDisk: boolean }
  /** Input may be processed (again): what {@link PairLink.admit} held back comes first. */
  | { readonly type: "open" };

export type PairLinkOptions = {
  readonly cell: string;
  /** Names this start of this replica: random, never used before. */
  readonly boot: string;
  readonly ackTimeoutMs: number;
  /** After this long without hearing from the pair a replica may have been frozen and replaced: `heartbeat.periodMs * missed`. */
  readonly leaseMs: number;
  /** How far this replica's memory goes back. Absent: the pair is not told. */
  readonly memory?: () => Memory;
};

/** What a link needs of its record store. */
export type PairedStore = {
  readonly sequence: number;
  changedSince(after: number, max: number, all?: boolean): Changes;
  textOf(record: StateRecord): string;
  acknowledge(sequence: number): void;
  forgetPair(): void;
};

/**
 * One replica's side of the link between the two replicas of an exchange, as a pure machine: time is an argument, batches are returned.
 *
 * Each side pushes its own changes. In the rule one batch is under way and the next one collects meanwhile; to a pair far away several are, in
 * order (flights.ts). A side that meets a new boot of the other tells it everything from the beginning, in chunks; a gap sends it back to what the
 * other has. Applying is commutative and idempotent, so loss, repetition and reordering on the way cost time only.
 *
 * Comparing digests of the tables first was rejected: whoever reads back from its disk has missed what changed since, and to digest 20 000 records on
 * both sides costs half of what it costs to push them (measured: 2 x 58 ms, against 45 ms here and 210 ms there, in chunks of some 7 ms).
 */
export class PairLink {
  #options: PairLinkOptions;
  readonly #store: PairedStore;
  #effects: PairEffect[] = [];

  #isServing = false;
  #sending: "together" | "lagging" | "away" = "lagging";
  #startedAt: number;
  #syncUntil: number;

  /** The pair's boot; empty until it is met. Everything below it belongs to it. */
  #peerBoot = "";
  readonly #retired: string[] = [];
  /** The pair has everything up to here; `#covered` is further when what follows came from the pair itself. */
  #after = 0;
  #covered = 0;
  /** Up to here it is told even what came from the pair: its earlier boot may have forgotten it. */
  #wholeUntil = 0;
  /** It has acknowledged a complete batch. */
  #isTold = false;
  /** What we have of it. */
  #received = 0;
  /** It waits until we have brought it up to here. */
  #promised = 0;
  /** It has said that it is ahead of us up to here. */
  #owed = 0;
  /** The effect `known` has said `Infinity`. */
  #isKnown = false;
  /** When it last told us something, or the latest batch left that it has answered. */
  #toldAt = Number.NEGATIVE_INFINITY;

  readonly #flights = new Flights();
  #lastId = 0;
  /** When the next batch is wanted, and before when it must not leave. */
  #sendAt: number | undefined;
  #notBefore = 0;
  #failures = 0;
  #gaps = 0;
  /** Whether the pair is still the one that is known is to be asked. */
  #isDoubting = false;
  /** Somebody waits for everything up to `#wanted`, and for what is up to `#urgent` as soon as can be. */
  #wanted = 0;
  #urgent = 0;
  #lastNeed: number;
  /** When the burst of commits that leave at once is whole again; each one takes {@link pairDelayMs} of it. */
  #burstAt = 0;

  /** When the latest batch left of which we know what became: nothing that happened since can have been missed for longer. */
  #heardAt = Number.NEGATIVE_INFINITY;
  #confirm: { since: number; until: number; ahead: number } | undefined;
  /** The latest time that this link was told. */
  #now: number;

  constructor(options: PairLinkOptions, store: PairedStore, now: number) {
    this.#options = options;
    this.#store = store;
    this.#now = now;
    this.#startedAt = now;
    this.#lastNeed = now;
    this.#syncUntil = now + pairSyncMs;
    this.#sendAt = now;
    this.#pump(now);
  }

  get state(): PairState {
    return this.#isServing ? this.#sending : "syncing";
  }

  /** False until it has caught up, or has given up waiting for that. */
  get isServing(): boolean {
    return this.#isServing;
  }

  /** The pair's boot; empty while it has not been met. */
  get peerBoot(): string {
    return this.#peerBoot;
  }

  takeEffects(): PairEffect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  /** Records have changed here. They leave within {@link pairDelayMs}. */
  changed(now: number): void {
    this.#take(now);
    this.#lastNeed = now;
    this.#sendBy(now + pairDelayMs);
  }

  /**
   * What must not be forgotten has changed, up to this sequence number of the store. `done`: the pair has it. `disk`: there is no pair to wait
   * for, write it. `wait`: for the effect `committed`.
   */
  commit(sequence: number, now: number): "done" | "disk" | "wait" {
    this.#take(now);
    this.#lastNeed = now;
    if (this.#sending !== "together") {
      this.#sendBy(now + pairDelayMs);
      return "disk";
    }
    if (sequence > this.#covered) {
      this.#wanted = Math.max(this.#wanted, sequence);
      this.#urgent = Math.max(this.#urgent, sequence);
      this.#hurry(now);
      this.#pump(now);
    }
    // Nothing of it was for the pair: it said so itself.
    return sequence <= this.#covered ? "done" : "wait";
  }

  /**
   * Like {@link commit} for what nobody waits for but those who could say it again, an access with its frame: it leaves in its time.
   * `done` as well when there is no pair to wait for.
   */
  follow(sequence: number, now: number): "done" | "wait" {
    this.#take(now);
    if (this.#sending !== "together" || sequence <= this.#covered || !this.#hasUntold()) return "done";
    this.#wanted = Math.max(this.#wanted, sequence);
    this.#sendBy(now + pairDelayMs);
    return "wait";
  }

  /**
   * Whether input may be processed now. False: not before the effect `open`. A replica that has heard nothing for so long that it may have
   * been frozen asks first: its pair has taken over what it had in progress.
   */
  admit(now: number): boolean {
    this.#take(now);
    this.#lastNeed = now;
    if (!this.#isServing || this.#confirm !== undefined) return false;
    const latest = this.#sending === "together" ? this.#heardAt : Math.max(this.#heardAt, this.#flights.latest?.sentAt ?? 0);
    if (now - latest <= this.#options.leaseMs) return true;
    this.#askWhatWasMissed(now);
    return false;
  }

  /**
   * Whether this replica stood still while a batch was under way: else it would have been given up long before. The pair has gone on alone, and is asked
   * before any input, not taken for one that does not answer.
   */
  #stoodStill({ sentAt }: Flight, now: number): boolean {
    if (!this.#isServing || this.#confirm !== undefined || now - sentAt <= this.#options.leaseMs) return false;
    this.#askWhatWasMissed(now);
    return true;
  }

  #askWhatWasMissed(now: number): void {
    this.#confirm = { since: now, until: now + this.#options.ackTimeoutMs, ahead: 0 };
    this.#abandon();
    this.#send(now);
  }

  /** A batch has come from the pair. Apply the records that are returned, then answer, then look at the effects. */
  receive(batch: PairBatch, now: number): { readonly answer: PairAnswer; readonly records: readonly StateRecord[] } {
    this.#take(now);
    const { boot } = this.#options;
    // Late words of a start that is over.
    if (this.#retired.includes(batch.boot)) return { answer: { boot, received: 0, ahead: 0 }, records: [] };
    if (batch.boot !== this.#peerBoot) {
      if (this.#peerBoot !== "") return this.#doubt(now);
      this.#meet(batch.boot, now);
    }
    if (this.#sending !== "together") {
      if (this.#sending === "away") this.#become("lagging", "it has spoken");
      this.#failures = 0;
      this.#notBefore = now;
      this.#sendBy(now);
    }
    let records: readonly StateRecord[] = [];
    if (batch.peerBoot === boot && batch.after <= this.#received) {
      records = batch.records;
      this.#received = Math.max(this.#received, batch.sequence);
      this.#toldAt = now;
      if (batch.isComplete && batch.memory !== undefined) this.#effects.push({ type: "memory", memory: batch.memory });
      if (!this.#isServing) {
        if (batch.isComplete) this.#serve(this.#sending, "caught up");
        else this.#syncUntil = Math.min(now + pairSyncMs, this.#startedAt + pairSyncMsMax);
      }
      this.#settleConfirm();
    }
    this.#settleKnown();
    const ahead = this.#hasUntold() ? this.#store.sequence : 0;
    this.#promised = Math.max(this.#promised, ahead);
    this.#pump(now);
    return { answer: { boot, received: this.#received, ahead }, records };
  }

  /**
   * Another start of the pair has spoken: a new one, or one before the one we know whose words were long under way (both of us may have been
   * started since). Only an answer to a question of ours tells.
   */
  #doubt(now: number): { readonly answer: PairAnswer; readonly records: readonly StateRecord[] } {
    this.#isDoubting = true;
    this.#notBefore = now;
    this.#sendBy(now);
    this.#pump(now);
    return { answer: { boot: this.#options.boot, received: 0, ahead: this.#store.sequence, isUnknown: true }, records: [] };
  }

  /** The records of a batch have been applied: what they met here may be news to the pair. */
  applied(now: number): void {
    this.#take(now);
    if (this.#hasUntold()) this.#sendBy(now + pairDelayMs);
  }

  /** The pair has answered a batch. */
  answered(id: number, answer: PairAnswer, now: number): void {
    this.#take(now);
    if (this.#retired.includes(answer.boot)) return this.failed(id, false, now);
    const flight = this.#flights.take(id);
    if (flight === undefined) return;
    this.#failures = 0;
    this.#notBefore = now;
    this.#heardAt = Math.max(this.#heardAt, flight.sentAt);
    this.#toldAt = Math.max(this.#toldAt, flight.sentAt);
    if (answer.boot !== this.#peerBoot) this.#meet(answer.boot, now);
    else if (answer.isUnknown === true || answer.received < flight.sequence) this.#missed(flight, answer, now);
    else this.#acknowledged(flight, answer.received, now);
    this.#owed = Math.max(this.#owed, answer.ahead);
    this.#settleKnown();
    if (this.#confirm !== undefined && flight.sentAt >= this.#confirm.since) {
      this.#confirm.ahead = answer.ahead;
      this.#confirm.until = now + pairSyncMs;
      this.#settleConfirm();
    }
    if (this.#urgent > this.#told) this.#hurry(now);
    this.#pump(now);
  }

  /** A batch was not answered. `isRefused`: there is nobody, rather than somebody who is slow; `cause` says why. */
  failed(id: number, isRefused: boolean, now: number, cause: string = refusedCause): void {
    this.#take(now);
    const flight = this.#flights.take(id);
    if (flight === undefined) return;
    this.#abandon();
    this.#heardAt = Math.max(this.#heardAt, flight.sentAt);
    if (this.#stoodStill(flight, now)) return;
    this.#retryLater(now);
    if (isRefused) this.#goOn("away", cause);
    else if (this.#isServing) this.#goOn(this.#sending === "away" ? "away" : "lagging", "no answer");
  }

  /** What the core group says of the pair's cell. What the pair itself says counts more. */
  see(isUp: boolean, now: number): void {
    this.#take(now);
    if (!isUp) {
      // Whoever has just started knows nothing yet: one answer's time is given to a pair that may be there after all.
      if (!this.#isServing) this.#syncUntil = Math.min(this.#syncUntil, now + this.#options.ackTimeoutMs);
      else this.#goOn("away", "its cell is down");
      if (this.#flights.isEmpty) this.#retryLater(now);
      return;
    }
    if (this.#sending === "together") return;
    this.#failures = 0;
    this.#notBefore = now;
    this.#sendBy(now);
    this.#pump(now);
  }

  /** Settings have changed. */
  configure(ackTimeoutMs: number, leaseMs: number): void {
    this.#options = { ...this.#options, ackTimeoutMs, leaseMs };
  }

  tick(now: number): void {
    this.#take(now);
    const flight = this.#flights.oldest;
    if (flight !== undefined) {
      const age = now - flight.sentAt;
      if (age >= this.#answerMsMax) {
        this.#effects.push({ type: "abandon", id: flight.id });
        this.failed(flight.id, false, now);
      } else if (this.#sending === "together" && isLagging(flight, this.#options.ackTimeoutMs, now)) {
        this.#goOn("lagging", `no answer within ${this.#options.ackTimeoutMs} ms`);
      }
    }
    if (!this.#isServing && now >= this.#syncUntil) this.#goOn("lagging", "it does not tell us what it has");
    if (this.#confirm !== undefined && now >= this.#confirm.until) this.#goOn("lagging", "it does not tell us what we have missed");
    this.#pump(now);
  }

  /** When {@link tick} is wanted, ms; undefined: not before something else happens. */
  nextDeadline(): number | undefined {
    const flight = this.#flights.oldest;
    let deadline = Number.POSITIVE_INFINITY;
    if (flight !== undefined)
      deadline = this.#sending === "together" ? judgedAt(flight, this.#options.ackTimeoutMs) : flight.sentAt + this.#answerMsMax;
    const leavesAt = this.#leavesAt;
    if (leavesAt !== undefined) deadline = Math.min(deadline, leavesAt);
    if (!this.#isServing) deadline = Math.min(deadline, this.#syncUntil);
    if (this.#confirm !== undefined) deadline = Math.min(deadline, this.#confirm.until);
    return deadline === Number.POSITIVE_INFINITY ? undefined : deadline;
  }

  /** How long an answer is waited for at all: shorter than the lease, which would else end while nothing is wrong here. */
  get #answerMsMax(): number {
    return Math.max(this.#options.ackTimeoutMs, this.#options.leaseMs / 2);
  }

  /** Every event begins with it: a clock that was set back must not make anything wait for the time until it is there again. */
  #take(now: number): void {
    const back = this.#now - now;
    this.#now = now;
    if (back <= 0) return;
    this.#startedAt -= back;
    this.#toldAt -= back;
    this.#syncUntil -= back;
    this.#notBefore -= back;
    this.#lastNeed -= back;
    this.#heardAt -= back;
    this.#burstAt -= back;
    if (this.#sendAt !== undefined) this.#sendAt -= back;
    this.#flights.setBack(back);
    if (this.#confirm === undefined) return;
    this.#confirm.since -= back;
    this.#confirm.until -= back;
  }

  #hurry(now: number): void {
    this.#sendBy(Math.max(now, this.#burstAt - pairBurstMax * pairDelayMs));
  }

  #sendBy(at: number): void {
    if (this.#sendAt === undefined || at < this.#sendAt) this.#sendAt = at;
  }

  #pump(now: number): void {
    const leavesAt = this.#leavesAt;
    if (leavesAt === undefined || leavesAt > now) return;
    // While it is not known to be there an empty batch asks.
    if (this.#sending === "together" && !this.#isDoubting && !this.#hasUntold() && this.#after >= this.#promised) {
      this.#sendAt = undefined;
      this.#release();
      return;
    }
    this.#send(now);
  }

  /** When the next batch may leave, ms; undefined: none is wanted, or one is under way that must be answered first. */
  get #leavesAt(): number | undefined {
    if (this.#sendAt === undefined) return undefined;
    const at = Math.max(this.#sendAt, this.#notBefore);
    if (this.#flights.isEmpty) return at;
    // Beside others leaves only what somebody waits for, and only to a pair that has all but what is under way.
    const mayOverlap = this.#sending === "together" && this.#isTold && !this.#isDoubting && this.#confirm === undefined;
    const overlapAt = mayOverlap && this.#urgent > this.#told ? this.#flights.overlapAt : undefined;
    return overlapAt === undefined ? undefined : Math.max(at, overlapAt);
  }

  /** Up to here the pair has everything, or it is under way. */
  get #told(): number {
    return Math.max(this.#covered, this.#flights.latest?.sequence ?? 0);
  }

  /** True when there is something that the pair has not got from us and did not tell us. */
  #hasUntold(): boolean {
    if (this.#peerBoot === "" || !this.#isTold) return true;
    if (this.#covered === this.#store.sequence) return false;
    if (this.#store.changedSince(this.#covered, 1).records.length > 0) return true;
    // All that has changed since came from the pair.
    this.#cover(this.#store.sequence);
    return false;
  }

  #send(now: number): void {
    this.#sendAt = undefined;
    this.#isDoubting = false;
    this.#burstAt = Math.max(now, this.#burstAt) + pairDelayMs;
    this.#lastId += 1;
    const { cell, boot, memory } = this.#options;
    const after = this.#flights.latest?.sequence ?? this.#after;
    // Nothing but a question to a pair that is not known, or that has failed to answer.
    const isQuestion = this.#peerBoot === "" || this.#failures > 0;
    const { texts, sequence, isComplete } = isQuestion ? { texts: [], sequence: after, isComplete: false } : this.#collect();
    const told = this.#isTold || memory === undefined ? {} : { memory: memory() };
    const text = serializeBatch({ cell, boot, peerBoot: this.#peerBoot, after, sequence, isComplete, ...told }, texts);
    this.#flights.add({ id: this.#lastId, sentAt: now, sequence, isComplete, held: this.#after, excusedMs: 0 });
    this.#effects.push({ type: "send", id: this.#lastId, text });
  }

  /** The next chunk. */
  #collect(): { readonly texts: string[]; readonly sequence: number; readonly isComplete: boolean } {
    const texts: string[] = [];
    let octets = 0;
    let sequence = this.#told;
    while (octets < pairBatchOctets) {
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

  #acknowledged(flight: Flight, received: number, now: number): void {
    this.#gaps = 0;
    this.#after = Math.max(this.#after, received);
    this.#cover(Math.max(this.#covered, received));
    this.#release();
    if (!flight.isComplete) {
      this.#sendBy(now);
      return;
    }
    this.#isTold = true;
    this.#become("together", "it has everything");
    if (this.#hasUntold() || this.#after < this.#promised) this.#sendBy(now + pairDelayMs);
  }

  #cover(sequence: number): void {
    this.#covered = sequence;
    this.#store.acknowledge(sequence);
  }

  /**
   * The pair did not take a batch, nor what left later. When it has all that it had when this one left, this one has only overtaken another, and is
   * said again.
   */
  #missed(flight: Flight, { received, isUnknown }: PairAnswer, now: number): void {
    for (const { id } of this.#flights.takeAfter(flight.id)) this.#effects.push({ type: "abandon", id });
    if (isUnknown !== true && received >= flight.held) this.#sendBy(now);
    else this.#goBack(received, now);
  }

  /** The pair lacks what we thought it had. Once that is an accident of the way; again and again it must not be a storm. */
  #goBack(received: number, now: number): void {
    this.#after = received;
    this.#covered = received;
    if (received === 0) this.#wholeUntil = this.#store.sequence;
    this.#gaps += 1;
    if (this.#gaps > 1) this.#retryLater(now);
    else this.#sendBy(now);
    if (this.#sending === "together") this.#become("lagging", "it lacks records");
  }

  /** A boot of the pair that we have not met: it has nothing of us, and we may lack something of it. */
  #meet(boot: string, now: number): void {
    if (this.#peerBoot !== "") {
      this.#retired.push(this.#peerBoot);
      if (this.#retired.length > pairBootsRememberedMax) this.#retired.shift();
    }
    const isFirst = this.#peerBoot === "";
    this.#peerBoot = boot;
    this.#after = 0;
    this.#covered = 0;
    this.#received = 0;
    this.#promised = 0;
    this.#owed = 0;
    this.#wholeUntil = this.#store.sequence;
    this.#isTold = false;
    this.#gaps = 0;
    this.#store.forgetPair();
    this.#abandon();
    this.#sendBy(now);
    if (!isFirst && this.#sending === "together") this.#become("lagging", "it has started anew");
  }

  #abandon(): void {
    for (const { id } of this.#flights.takeAfter(0)) this.#effects.push({ type: "abandon", id });
  }

  #retryLater(now: number): void {
    const { leaseMs } = this.#options;
    const most = Math.min(pairRetryMsMax, leaseMs / 4);
    this.#notBefore = now + Math.min(pairRetryMs * 2 ** Math.min(this.#failures, 10), most);
    this.#failures += 1;
    const isQuiet = now - this.#lastNeed > pairQuietMs;
    this.#sendAt = isQuiet ? undefined : this.#notBefore;
  }

  /** There is nobody to wait for: what waited goes on alone. */
  #goOn(state: "lagging" | "away", cause: string): void {
    if (this.#isServing) this.#become(state, cause);
    else this.#serve(state, cause);
    if (this.#confirm === undefined) return;
    this.#confirm = undefined;
    this.#effects.push({ type: "open" });
  }

  #serve(state: "together" | "lagging" | "away", cause: string): void {
    this.#isServing = true;
    this.#sending = state;
    this.#effects.push({ type: "state", state, cause }, { type: "open" });
  }

  #become(state: "together" | "lagging" | "away", cause: string): void {
    if (this.#sending === state) return;
    this.#sending = state;
    if (this.#isServing) this.#effects.push({ type: "state", state, cause });
    if (state === "together") return;
    this.#release();
    this.#settleKnown();
  }

  /** That the pair has everything of ours does not say that we have everything of its. */
  #settleKnown(): void {
    const isTogether = this.#isServing && this.#sending === "together";
    if (isTogether ? this.#isKnown || this.#received < this.#owed : !this.#isKnown) return;
    this.#isKnown = isTogether;
    this.#effects.push({ type: "known", until: isTogether ? Number.POSITIVE_INFINITY : this.#toldAt });
  }

  /** Commits that are done, and all of them when the pair is not to be waited for. */
  #release(): void {
    if (this.#wanted === 0) return;
    if (this.#sending !== "together") {
      this.#effects.push({ type: "committed", sequence: this.#wanted, needsDisk: true });
      this.#wanted = 0;
      return;
    }
    this.#effects.push({ type: "committed", sequence: this.#covered, needsDisk: false });
    if (this.#covered >= this.#wanted) this.#wanted = 0;
  }

  #settleConfirm(): void {
    if (this.#confirm === undefined || this.#received < this.#confirm.ahead) return;
    if (this.#heardAt < this.#confirm.since) return;
    this.#confirm = undefined;
    this.#effects.push({ type: "open" });
  }
}
