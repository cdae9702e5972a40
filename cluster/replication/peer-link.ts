import { peerBootsRememberedMax, peerDelayMs } from "../limits.ts";
import type { Memory } from "../../sip/record/memory.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { isLagging, judgedAt, type Flight } from "./flights.ts";
import type { PeerAnswer, PeerBatch } from "./peer-batch.ts";
import { PairLease } from "./pair-lease.ts";
import { ReceivingSide } from "./receiving-side.ts";
import { BatchIds, SendingSide, type PairedStore } from "./sending-side.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * What a replica is to its peer.
 * - `syncing`: it has started and has not caught up: it does not serve.
 * - `together`: the peer holds everything but what has changed just now.
 * - `lagging`: the peer holds less, or does not answer in time: what must not be forgotten goes to the disk first.
 * - `away`: the same, and the peer is known to be gone.
 */
export type PairState = "syncing" | "together" | "lagging" | "away";

/** Why a peer is `away` that nobody has found when it was called: the same word as the core group has for it. */
export const refusedCause = "connection refused";
/** The same, of a peer that speaks another version of the protocol. */
export const otherVersionCause = "another version";
const downCause = "is down";
/** Why it is still `away`, though its cell is not down any more. */
const upCause = "is up again, and has not answered yet";

/** A cause for people. All but those that others name as well say what the peer does. */
export function causeText(peer: string, cause: string): string {
  const isName = cause === refusedCause || cause === otherVersionCause;
  return `cell ${peer}${isName ? ":" : ""} ${cause}`;
}

/** What a link wants done. Drain {@link PeerLink.takeEffects} after every call. */
export type PeerLinkEffect =
  /** Bring this batch to the peer, and say what became of it: {@link PeerLink.answered} or {@link PeerLink.failed}. */
  | { readonly type: "send"; readonly id: number; readonly text: string }
  /** Nobody waits for the answer to that batch any more. */
  | { readonly type: "abandon"; readonly id: number }
  | { readonly type: "state"; readonly state: PairState; readonly cause: string }
  /** Everything is known here that the peer has made until then, ms; `Infinity`: and it goes on so. */
  | { readonly type: "known"; readonly until: SteadyMs }
  /** The peer has told everything, and how far back that goes. */
  | { readonly type: "memory"; readonly memory: Memory }
  /** Commits up to this sequence number are done. `needsDisk`: not by the peer, so write everything to the disk before they count. */
  | { readonly type: "committed"; readonly sequence: number; readonly needsDisk: boolean }
  /** Input may be processed (again): what {@link PeerLink.admit} held back comes first. */
  | { readonly type: "open" };

export type PeerLinkOptions = {
  readonly cell: string;
  /** Names this start of this replica: random, never used before. */
  readonly boot: string;
  /** The least: see {@link RoundTrip}. */
  readonly ackTimeoutMs: number;
  /** After this long without hearing from the peer a replica may have been frozen and replaced: `heartbeat.periodMs * missed`. */
  readonly leaseMs: number;
  /** How far this replica's memory goes back. Absent: the peer is not told. */
  readonly memory?: () => Memory;
  /** What this replica was before, when the map has named another peer. Absent: it has just started. */
  readonly before?: { readonly isServing: boolean };
  /** Numbers its batches. Absent: there is no other link that has any. */
  readonly ids?: BatchIds;
  /** It has nothing of the exchange yet, and another cell has: it serves only when it has been told everything. */
  readonly isNewcomer?: boolean;
};

/**
 * One replica's side of the link between the two replicas of an exchange, as a pure machine: time is an argument, batches are returned.
 *
 * Each side pushes its own changes. In the rule one batch is under way and the next one collects meanwhile; to a peer far away several are, in order
 * (flights.ts). A side that meets a new boot of the other tells it everything from the beginning, in chunks. A gap sends it back to what the other
 * has. Applying is commutative and idempotent, so loss, repetition and reordering on the way cost time only.
 *
 * What the peer has of us is in sending-side.ts, what we have of it in receiving-side.ts. Whether we may have missed something while we stood still
 * is in pair-lease.ts. Here they meet: what one event means for all three, and what the replica is to its peer.
 *
 * Comparing digests of the tables first was rejected. Whoever reads back from its disk has missed what changed since. To digest 20 000 records on
 * both sides costs half of what it costs to push them. Measured: 2 x 58 ms, against 45 ms here and 210 ms there, in chunks of some 7 ms.
 */
export class PeerLink {
  #options: PeerLinkOptions;
  #effects: PeerLinkEffect[] = [];

  readonly #sending: SendingSide;
  readonly #receiving: ReceivingSide;
  readonly #lease = new PairLease();
  #isServing = false;
  /** What the replica is to its peer, once it serves. */
  #standing: "together" | "lagging" | "away" = "lagging";
  /** Why, as it was last said. */
  #cause = "";
  /** The peer's present start; empty until it is met. Everything that is known of the peer belongs to it. */
  #peerBoot = "";
  readonly #retired: string[] = [];
  /** Somebody waits for commits up to here; 0: nobody does. */
  #wanted = 0;

  constructor(options: PeerLinkOptions, store: PairedStore, now: SteadyMs) {
    this.#options = options;
    this.#isServing = options.before?.isServing ?? false;
    this.#sending = new SendingSide(store, now, options.ids ?? new BatchIds());
    this.#receiving = new ReceivingSide(now);
    this.#pump(now);
  }

  get state(): PairState {
    return this.#isServing ? this.#standing : "syncing";
  }

  /** False until it has caught up, or has given up waiting for that. */
  get isServing(): boolean {
    return this.#isServing;
  }

  /** The peer's boot; empty while it has not been met. */
  get peerBoot(): string {
    return this.#peerBoot;
  }

  /** The map names another peer: this link is over. What the next one is to know. Commits that wait are not done. */
  end(): NonNullable<PeerLinkOptions["before"]> {
    this.#abandonAfter(0);
    return { isServing: this.#isServing };
  }

  takeEffects(): PeerLinkEffect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  /** Records have changed here. They leave within {@link peerDelayMs}. */
  changed(now: SteadyMs): void {
    this.#sending.need(now);
    this.#sending.sendBy(now + peerDelayMs);
  }

  /**
   * What must not be forgotten has changed, up to this sequence number of the store. `done`: the peer has it. `disk`: there is no peer to wait
   * for, write it. `wait`: for the effect `committed`.
   */
  commit(sequence: number, now: SteadyMs): "done" | "disk" | "wait" {
    this.#sending.need(now);
    if (this.#standing !== "together") {
      this.#sending.sendBy(now + peerDelayMs);
      return "disk";
    }
    if (sequence > this.#sending.covered) {
      this.#wanted = Math.max(this.#wanted, sequence);
      this.#sending.hurry(sequence, now);
      this.#pump(now);
    }
    // Nothing of it was for the peer: it said so itself.
    return sequence <= this.#sending.covered ? "done" : "wait";
  }

  /**
   * Like {@link commit} for what nobody waits for but those who could say it again, an access with its frame: it leaves in its time.
   * `done` as well when there is no peer to wait for.
   */
  follow(sequence: number, now: SteadyMs): "done" | "wait" {
    if (this.#standing !== "together" || sequence <= this.#sending.covered || !this.#sending.hasUntold()) return "done";
    this.#wanted = Math.max(this.#wanted, sequence);
    this.#sending.sendBy(now + peerDelayMs);
    return "wait";
  }

  /**
   * Whether input may be processed now. False: not before the effect `open`. A replica that has heard nothing for so long that it may have been
   * frozen asks first. Its peer has taken over what it had in progress.
   */
  admit(now: SteadyMs): boolean {
    this.#sending.need(now);
    if (!this.#isServing || this.#lease.isAsking) return false;
    // To a peer that is not together with us what is under way counts: it may not be there.
    const sentAt = this.#standing === "together" ? 0 : (this.#sending.flights.latest?.sentAt ?? 0);
    if (this.#lease.isOver(this.#options.leaseMs, sentAt, now)) {
      this.#askWhatWasMissed(now);
      return false;
    }
    // While nobody wanted anything it was not asked any more.
    if (this.#standing !== "together") this.#sending.sendBy(now);
    return true;
  }

  /**
   * Whether this replica stood still while a batch was under way: else it would have been given up long before. The peer has gone on alone, and is asked
   * before any input, not taken for one that does not answer.
   */
  #stoodStill({ sentAt }: Flight, now: SteadyMs): boolean {
    if (!this.#isServing || this.#lease.isAsking || now - sentAt <= this.#options.leaseMs) return false;
    this.#askWhatWasMissed(now);
    return true;
  }

  #askWhatWasMissed(now: SteadyMs): void {
    this.#lease.ask(now, this.#ackMs);
    this.#abandonAfter(0);
    this.#send(now);
  }

  /** A batch has come from the peer. Apply the records that are returned, then answer, then look at the effects. */
  receive(batch: PeerBatch, now: SteadyMs): { readonly answer: PeerAnswer; readonly records: readonly StateRecord[] } {
    const { boot } = this.#options;
    // Late words of a start that is over.
    if (this.#retired.includes(batch.boot)) return { answer: { boot, received: 0, ahead: 0 }, records: [] };
    if (batch.boot !== this.#peerBoot) {
      if (this.#peerBoot !== "") return this.#doubt(now);
      this.#meet(batch.boot, now);
    }
    this.#lease.spoke(now);
    if (this.#standing !== "together") {
      if (this.#standing === "away") this.#become("lagging", "has spoken");
      this.#sending.isThere(now);
      this.#sending.sendBy(now);
    }
    let records: readonly StateRecord[] = [];
    if (this.#receiving.take(batch, boot, now)) {
      records = batch.records;
      if (batch.isComplete && batch.memory !== undefined) this.#effects.push({ type: "memory", memory: batch.memory });
      if (!this.#isServing) {
        if (batch.isComplete) this.#serve(this.#standing, "caught up");
        else this.#receiving.waitForMore(now);
      }
      this.#settleQuestion();
    }
    this.#settleKnown();
    const { ahead } = this.#sending;
    this.#sending.promise(ahead);
    this.#pump(now);
    return { answer: { boot, received: this.#receiving.received, ahead }, records };
  }

  /**
   * Another start of the peer has spoken. It is a new one, or one before the one we know whose words were long under way. Both of us may have been
   * started since. Only an answer to a question of ours tells.
   */
  #doubt(now: SteadyMs): { readonly answer: PeerAnswer; readonly records: readonly StateRecord[] } {
    this.#sending.doubt(now);
    this.#pump(now);
    return { answer: { boot: this.#options.boot, received: 0, ahead: this.#sending.sequence, isUnknown: true }, records: [] };
  }

  /** The records of a batch have been applied: what they met here may be news to the peer. */
  applied(now: SteadyMs): void {
    if (this.#sending.hasUntold()) this.#sending.sendBy(now + peerDelayMs);
  }

  /** The peer has answered a batch. */
  answered(id: number, answer: PeerAnswer, now: SteadyMs): void {
    if (this.#retired.includes(answer.boot)) return this.failed(id, false, now);
    const flight = this.#sending.flights.take(id);
    if (flight === undefined) return;
    // One that was excused came late to this side, which was held up itself.
    if (flight.excusedMs === 0) this.#sending.roundTrip.took(now - flight.sentAt);
    this.#sending.isThere(now);
    this.#lease.heard(flight.sentAt);
    this.#receiving.heard(flight.sentAt);
    if (answer.boot !== this.#peerBoot) this.#meet(answer.boot, now);
    else if (answer.isUnknown === true || answer.received < flight.sequence) this.#missed(flight, answer, now);
    else this.#acknowledged(flight, answer.received, now);
    this.#receiving.owes(answer.ahead);
    this.#settleKnown();
    if (this.#lease.answered(flight.sentAt, answer.ahead, now)) this.#settleQuestion();
    this.#sending.hurryOn(now);
    this.#pump(now);
  }

  /** A batch was not answered. `isRefused`: there is nobody, rather than somebody who is slow; `cause` says why. */
  failed(id: number, isRefused: boolean, now: SteadyMs, cause: string = refusedCause): void {
    const flight = this.#sending.flights.take(id);
    if (flight === undefined) return;
    this.#abandonAfter(0);
    this.#lease.heard(flight.sentAt);
    if (this.#stoodStill(flight, now)) return;
    this.#sending.retryLater(this.#options.leaseMs, now);
    if (isRefused) this.#goOn("away", cause);
    else if (this.#isServing) this.#goOn(this.#standing === "away" ? "away" : "lagging", "does not answer");
  }

  /** What the core group says of the peer's cell. What the peer itself says counts more. */
  see(isUp: boolean, now: SteadyMs): void {
    if (!isUp) {
      // Whoever has just started knows nothing yet: one answer's time is given to a peer that may be there after all.
      if (!this.#isServing) this.#receiving.waitNoLongerThan(now + this.#options.ackTimeoutMs);
      else this.#goOn("away", downCause);
      if (this.#sending.flights.isEmpty) this.#sending.retryLater(this.#options.leaseMs, now);
      return;
    }
    if (this.#standing === "together") return;
    if (this.#standing === "away" && this.#cause === downCause) this.#become("away", upCause);
    this.#sending.isThere(now);
    this.#sending.sendBy(now);
    this.#pump(now);
  }

  /** Somebody else than the peer has told all that there is: from now on nobody has to be waited for without end. */
  knowsAll(): void {
    this.#options = { ...this.#options, isNewcomer: false };
  }

  /** Settings have changed. */
  configure(ackTimeoutMs: number, leaseMs: number): void {
    this.#options = { ...this.#options, ackTimeoutMs, leaseMs };
  }

  tick(now: SteadyMs): void {
    const flight = this.#sending.flights.oldest;
    if (flight !== undefined) {
      // As the deadline is reckoned: a difference of times may be less by what does not fit into a number.
      if (now >= flight.sentAt + this.#answerMsMax) {
        this.#effects.push({ type: "abandon", id: flight.id });
        this.failed(flight.id, false, now);
      } else if (this.#isJudging && isLagging(flight, this.#ackMs, now)) {
        this.#goOn("lagging", `has not answered within ${this.#ackMs} ms`);
      }
    }
    if (this.#mayGiveUp && now >= this.#receiving.syncUntil) this.#goOn("lagging", "does not tell what it has");
    if (now >= this.#lease.asksUntil) this.#goOn("lagging", "does not tell what was missed here");
    this.#pump(now);
  }

  /** Whether a replica that has started and not caught up serves without, when nobody tells it what it lacks. */
  get #mayGiveUp(): boolean {
    return !this.#isServing && this.#options.isNewcomer !== true;
  }

  /** Whether a peer that is slow with an answer counts as lagging. What a replica that stood still asks for has a time of its own. */
  get #isJudging(): boolean {
    return this.#standing === "together" && !this.#lease.isAsking;
  }

  /** When {@link tick} is wanted, ms; undefined: not before something else happens. */
  nextDeadline(): number | undefined {
    const flight = this.#sending.flights.oldest;
    let deadline = Number.POSITIVE_INFINITY;
    if (flight !== undefined) deadline = this.#isJudging ? judgedAt(flight, this.#ackMs) : flight.sentAt + this.#answerMsMax;
    const leavesAt = this.#leavesAt;
    if (leavesAt !== undefined) deadline = Math.min(deadline, leavesAt);
    if (this.#mayGiveUp) deadline = Math.min(deadline, this.#receiving.syncUntil);
    deadline = Math.min(deadline, this.#lease.asksUntil);
    return deadline === Number.POSITIVE_INFINITY ? undefined : deadline;
  }

  /** How long an answer is waited for at all: shorter than the lease, which would else end while nothing is wrong here. */
  get #answerMsMax(): number {
    return Math.max(this.#ackMs, this.#options.leaseMs / 2);
  }

  /** How long a peer that is together with this replica may take to answer: as long as it is away, and no less than the map says. */
  get #ackMs(): number {
    return this.#sending.roundTrip.timeoutMs(this.#options.ackTimeoutMs);
  }

  #pump(now: SteadyMs): void {
    const leavesAt = this.#leavesAt;
    if (leavesAt === undefined || leavesAt > now) return;
    // While it is not known to be there an empty batch asks.
    if (this.#standing === "together" && this.#sending.rest()) {
      this.#release();
      return;
    }
    this.#send(now);
  }

  /** When the next batch may leave, ms; undefined: not before something else happens. */
  get #leavesAt(): number | undefined {
    return this.#sending.leavesAt(this.#standing === "together" && !this.#lease.isAsking);
  }

  #send(now: SteadyMs): void {
    const { cell, boot, memory } = this.#options;
    const { id, text } = this.#sending.next({ cell, boot, peerBoot: this.#peerBoot }, memory, now);
    this.#effects.push({ type: "send", id, text });
  }

  #acknowledged(flight: Flight, received: number, now: SteadyMs): void {
    this.#sending.acknowledged(flight, received, now);
    this.#release();
    if (!flight.isComplete) return;
    this.#become("together", "has everything");
    this.#sending.goOn(now);
  }

  /** The peer did not take a batch, nor what left later. */
  #missed(flight: Flight, answer: PeerAnswer, now: SteadyMs): void {
    this.#abandonAfter(flight.id);
    if (!this.#sending.missed(flight, answer, this.#options.leaseMs, now)) return;
    if (this.#standing === "together") this.#become("lagging", "lacks records");
  }

  /** A boot of the peer that we have not met: it has nothing of us, and we may lack something of it. */
  #meet(boot: string, now: SteadyMs): void {
    const isFirst = this.#peerBoot === "";
    if (!isFirst) {
      this.#retired.push(this.#peerBoot);
      if (this.#retired.length > peerBootsRememberedMax) this.#retired.shift();
    }
    this.#peerBoot = boot;
    this.#sending.meet(now);
    this.#receiving.meet();
    this.#abandonAfter(0);
    if (!isFirst && this.#standing === "together") this.#become("lagging", "has started anew");
  }

  /** Nobody waits for the answers to batches behind this one any more. */
  #abandonAfter(id: number): void {
    for (const flight of this.#sending.flights.takeAfter(id)) this.#effects.push({ type: "abandon", id: flight.id });
  }

  /** There is nobody to wait for: what waited goes on alone. */
  #goOn(state: "lagging" | "away", cause: string): void {
    if (this.#isServing) this.#become(state, cause);
    else if (this.#mayGiveUp) this.#serve(state, cause);
    if (this.#lease.giveUp()) this.#effects.push({ type: "open" });
  }

  #serve(state: "together" | "lagging" | "away", cause: string): void {
    this.#isServing = true;
    this.#standing = state;
    this.#cause = cause;
    this.#effects.push({ type: "state", state, cause }, { type: "open" });
  }

  #become(state: "together" | "lagging" | "away", cause: string): void {
    // Whoever is away is shown with what is known of its cell. What each try meets is no news.
    const isNews = this.#standing !== state || (state === "away" && (cause === downCause || cause === upCause) && cause !== this.#cause);
    if (!isNews) return;
    this.#standing = state;
    this.#cause = cause;
    if (this.#isServing) this.#effects.push({ type: "state", state, cause });
    if (state === "together") return;
    this.#release();
    this.#settleKnown();
  }

  #settleKnown(): void {
    const until = this.#receiving.takeKnown(this.#isServing && this.#standing === "together");
    if (until !== undefined) this.#effects.push({ type: "known", until });
  }

  /** Commits that are done, and all of them when the peer is not to be waited for. */
  #release(): void {
    if (this.#wanted === 0) return;
    if (this.#standing !== "together") {
      this.#effects.push({ type: "committed", sequence: this.#wanted, needsDisk: true });
      this.#wanted = 0;
      return;
    }
    this.#effects.push({ type: "committed", sequence: this.#sending.covered, needsDisk: false });
    if (this.#sending.covered >= this.#wanted) this.#wanted = 0;
  }

  #settleQuestion(): void {
    if (this.#lease.settle(this.#receiving.received)) this.#effects.push({ type: "open" });
  }
}
