import { isParseError } from "../../sip/errors.ts";
import { parseAnswer, parseBatch, serializeAnswer } from "../../cluster/replication/pair-batch.ts";
import { otherVersionCause, PairLink, refusedCause, type PairEffect, type PairState } from "../../cluster/replication/pair-link.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { Memory } from "../../sip/record/memory.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { CellAnswerError, OtherVersionError } from "../cells.ts";
import { inputsWaitingMax } from "../limits.ts";
import type { PairQuestion } from "./pair-socket.ts";

export type PairOptions = {
  readonly cell: string;
  /** The cell of the other replica. */
  readonly peer: string;
  readonly exchange: number;
  readonly boot: string;
  readonly map: ClusterMap;
  readonly store: RecordStore;
  /** Brings a batch to the pair. Its answer rejects when there is none. */
  readonly call: (batch: Uint8Array) => PairQuestion;
  readonly apply: (record: StateRecord, now: number) => void;
  readonly memory: () => Memory;
  /** The pair has told everything, and how far back that goes. */
  readonly remember: (pair: Memory) => void;
  /** Writes everything that has changed to the disk, if it takes it. Undefined: it is written. */
  readonly flush: () => Promise<void> | undefined;
  /** The same, together with what other commits want written about now: resolves when it is; undefined: it is. */
  readonly flushTogether: () => Promise<void> | undefined;
  /** Some of what waited was {@link Pair.follow}ed to its end. */
  readonly released: () => void;
  /** Until when everything is known that the pair has made, ms; `Infinity`: and it goes on so. */
  readonly known: (until: number) => void;
  /** The replica is something else to its pair than it was. */
  readonly changed: (state: PairState, cause: string) => void;
};

type Commit = { readonly sequence: number; readonly resolve: () => void };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * The link to the other replica (cluster/replication) with its clock, its timer and its requests; what waits for commits; and the gate, before
 * which input waits in order while this replica must not serve.
 */
export class Pair {
  readonly #options: PairOptions;
  readonly #link: PairLink;
  readonly #questions = new Map<number, PairQuestion>();
  readonly #waiting: (() => void)[] = [];
  #commits: Commit[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;
  #timerAt = Number.POSITIVE_INFINITY;
  #sequence: number;
  #lastError = "";

  constructor(options: PairOptions) {
    this.#options = options;
    const { cell, boot, map, store, memory } = options;
    this.#sequence = store.sequence;
    this.#link = new PairLink(
      { cell, boot, ackTimeoutMs: map.replication.ackTimeoutMs, leaseMs: leaseMsOf(map.heartbeat), memory },
      store,
      Date.now(),
    );
  }

  get state(): PairState {
    return this.#link.state;
  }

  /** What the last batch that was not answered met; empty: none has failed. */
  get lastError(): string {
    return this.#lastError;
  }

  get isServing(): boolean {
    return this.#link.isServing;
  }

  /** Speaks to the pair for the first time. */
  start(): void {
    this.#settle();
  }

  /**
   * Runs an input when it may be processed: now, or behind all that waits already. Rejects when too much waits; `isBounded` false: this
   * one must not be refused.
   */
  enter<Result>(run: () => Result, isBounded = true): Result | Promise<Awaited<Result>> {
    if (this.#waiting.length === 0 && this.#link.admit(Date.now())) return run();
    this.#settle();
    if (isBounded && this.#waiting.length >= inputsWaitingMax) return Promise.reject(new Error("too much waits for this replica to serve"));
    return new Promise<void>((resolve) => this.#waiting.push(resolve)).then(run) as Promise<Awaited<Result>>;
  }

  /**
   * Resolves when everything up to this sequence number of the store would survive the end of this process: the pair has it, or the
   * disk. Undefined: it does already.
   */
  commit(sequence: number): Promise<void> | undefined {
    const verdict = this.#link.commit(sequence, Date.now());
    let waits: Promise<void> | undefined;
    if (verdict === "disk") waits = this.#options.flushTogether();
    else if (verdict === "wait") waits = new Promise((resolve) => this.#commits.push({ sequence, resolve }));
    this.#sequence = this.#options.store.sequence;
    this.#settle();
    return waits;
  }

  /**
   * An event is over: what it changed leaves soon. Calls back when everything that has changed is at the pair, or when there is no pair
   * to wait for: now, perhaps.
   */
  follow(done: () => void): void {
    this.look();
    if (this.#link.follow(this.#sequence, Date.now()) === "done") done();
    else this.#commits.push({ sequence: this.#sequence, resolve: done });
    this.#settle();
  }

  /** An event is over: what it changed leaves soon. */
  look(): void {
    const { sequence } = this.#options.store;
    if (sequence === this.#sequence) return;
    this.#sequence = sequence;
    this.#link.changed(Date.now());
    this.#settle();
  }

  /** A batch of the pair's. Returns the answer; undefined: that was no batch of the pair's. */
  take(octets: Uint8Array): Uint8Array | undefined {
    const now = Date.now();
    const batch = parseBatch(decoder.decode(octets));
    if (isParseError(batch) || batch.cell !== this.#options.peer) return undefined;
    if (batch.unreadable > 0) console.error(`exchange ${this.#options.exchange}: ${batch.unreadable} records of the pair are unreadable`);
    const { answer, records } = this.#link.receive(batch, now);
    for (const record of records) this.#options.apply(record, now);
    this.#sequence = this.#options.store.sequence;
    this.#link.applied(now);
    this.#settle();
    return encoder.encode(serializeAnswer(answer));
  }

  /** What the core group says of the pair's cell. */
  see(isUp: boolean, heartbeat: ClusterMap["heartbeat"]): void {
    this.#link.configure(this.#options.map.replication.ackTimeoutMs, leaseMsOf(heartbeat));
    this.#link.see(isUp, Date.now());
    this.#settle();
  }

  #settle(): void {
    for (let effects = this.#link.takeEffects(); effects.length > 0; effects = this.#link.takeEffects()) {
      for (const effect of effects) this.#carryOut(effect);
    }
    this.#arm();
  }

  #carryOut(effect: PairEffect): void {
    switch (effect.type) {
      case "send":
        void this.#send(effect.id, encoder.encode(effect.text));
        return;
      case "abandon":
        this.#questions.get(effect.id)?.abandon();
        this.#questions.delete(effect.id);
        return;
      case "state":
        this.#options.changed(effect.state, effect.cause);
        return;
      case "known":
        this.#options.known(effect.until);
        return;
      case "memory":
        this.#options.remember(effect.memory);
        return;
      case "committed":
        this.#committed(effect.sequence, effect.needsDisk);
        return;
      case "open":
        for (const run of this.#waiting.splice(0)) run();
        return;
    }
    effect satisfies never;
  }

  #committed(sequence: number, needsDisk: boolean): void {
    const flushing = needsDisk ? this.#options.flush() : undefined;
    if (flushing === undefined) this.#resolve(sequence);
    else void flushing.then(() => this.#resolve(sequence));
  }

  #resolve(sequence: number): void {
    // Sequence numbers only rise: those that are done come first.
    let done = 0;
    while (done < this.#commits.length && (this.#commits[done]?.sequence ?? 0) <= sequence) done += 1;
    for (const { resolve } of this.#commits.splice(0, done)) resolve();
    if (done > 0) this.#options.released();
  }

  async #send(id: number, batch: Uint8Array): Promise<void> {
    const question = this.#options.call(batch);
    this.#questions.set(id, question);
    let answer: ReturnType<typeof parseAnswer>;
    try {
      answer = parseAnswer(decoder.decode(await question.answer));
    } catch (error) {
      // Who answers with an error is there, and may be well again with the next batch.
      const isRefused = !(error instanceof CellAnswerError);
      const cause = error instanceof OtherVersionError ? otherVersionCause : refusedCause;
      const text = error instanceof Error ? error.message : String(error);
      this.#ended(id, () => this.#link.failed(id, isRefused, Date.now(), cause), text);
      return;
    }
    this.#ended(id, () => {
      if (isParseError(answer)) this.#link.failed(id, false, Date.now());
      else this.#link.answered(id, answer, Date.now());
    });
  }

  #ended(id: number, act: () => void, error?: string): void {
    if (!this.#questions.delete(id)) return;
    if (error !== undefined) this.#lastError = error;
    act();
    this.#settle();
  }

  #arm(): void {
    const deadline = this.#link.nextDeadline();
    if (deadline === undefined) {
      clearTimeout(this.#timer);
      this.#timerAt = Number.POSITIVE_INFINITY;
      return;
    }
    // One that rings too early finds nothing due, and the next is set.
    if (this.#timerAt <= deadline) return;
    clearTimeout(this.#timer);
    this.#timerAt = deadline;
    this.#timer = setTimeout(
      () => {
        this.#timerAt = Number.POSITIVE_INFINITY;
        this.#link.tick(Date.now());
        this.#settle();
      },
      Math.max(1, deadline - Date.now()),
    );
  }
}

/** After so long without a word from its pair a replica may be one that everybody believes dead. */
function leaseMsOf({ periodMs, missed }: ClusterMap["heartbeat"]): number {
  return periodMs * missed;
}
