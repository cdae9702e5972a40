import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { parseAnswer, parseBatch, serializeAnswer } from "../../cluster/replication/peer-batch.ts";
import { PeerLink, type PeerLinkEffect, type PairState } from "../../cluster/replication/peer-link.ts";
import { isParseError } from "../../sip/errors.ts";
import type { Memory } from "../../sip/record/memory.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import type { Timer } from "../timer.ts";
import type { DiskWriter } from "./disk-writer.ts";
import { Gate } from "./gate.ts";
import type { ExchangePorts } from "./ports.ts";
import type { Release } from "./release.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type ReplicationOptions = {
  readonly cell: string;
  /** The cell of the other replica. */
  readonly peer: string;
  readonly exchange: number;
  readonly boot: string;
  readonly map: ClusterMap;
  readonly store: RecordStore;
  readonly ports: Pick<ExchangePorts, "timer" | "soon" | "now" | "peer" | "log">;
  readonly writer: DiskWriter;
  readonly release: Release;
  readonly apply: (record: StateRecord, now: SteadyMs) => void;
  readonly memory: () => Memory;
  /** The peer has told everything, and how far back that goes. */
  readonly remember: (ofPeer: Memory) => void;
  /** Until when everything is known that the peer has made, ms; `Infinity`: and it goes on so. */
  readonly known: (until: SteadyMs) => void;
  /** The replica is something else to its peer than it was. */
  readonly changed: (state: PairState, cause: string, now: SteadyMs) => void;
};

type Commit = { readonly sequence: number; readonly done: (now: SteadyMs) => void };

/**
 * One replica's side of its pair. It has the link to the peer (cluster/replication) and carries out what that wants. It has what waits for commits,
 * and the gate before which input waits while this replica must not serve.
 */
export class Replication {
  readonly #options: ReplicationOptions;
  readonly #link: PeerLink;
  readonly #gate: Gate;
  readonly #timer: Timer;
  #commits: Commit[] = [];
  #timerAt = Number.POSITIVE_INFINITY;
  #sequence: number;
  #isSettling = false;

  constructor(options: ReplicationOptions, now: SteadyMs) {
    this.#options = options;
    const { cell, boot, map, store, memory, ports } = options;
    this.#gate = new Gate(ports);
    this.#timer = ports.timer(() => this.#rang(ports.now()));
    this.#sequence = store.sequence;
    this.#link = new PeerLink(
      { cell, boot, ackTimeoutMs: map.replication.ackTimeoutMs, leaseMs: leaseMsOf(map.heartbeat), memory },
      store,
      now,
    );
  }

  get state(): PairState {
    return this.#link.state;
  }

  get isServing(): boolean {
    return this.#link.isServing;
  }

  /** Speaks to the peer for the first time. */
  start(now: SteadyMs): void {
    this.#settle(now);
  }

  /** Whether an input may be processed now. False: {@link keep} it, for it comes behind all that waits already. */
  admits(now: SteadyMs): boolean {
    const isAdmitted = this.#gate.isEmpty && this.#link.admit(now);
    if (!isAdmitted || this.#link.state !== "together") this.#settle(now);
    return isAdmitted;
  }

  /** See {@link Gate.keep}. */
  keep(input: (now: SteadyMs) => void, isBounded: boolean): boolean {
    return this.#gate.keep(input, isBounded);
  }

  /**
   * True: everything up to this sequence number of the store would survive the end of this process. The peer has it, or the disk. Else `done` is
   * called when that is so.
   */
  commit(sequence: number, now: SteadyMs, done: (now: SteadyMs) => void): boolean {
    const verdict = this.#link.commit(sequence, now);
    let isDone = true;
    if (verdict === "disk") isDone = this.#options.writer.flushTogether(now, done);
    else if (verdict === "wait") {
      isDone = false;
      this.#commits.push({ sequence, done });
    }
    this.#sequence = this.#options.store.sequence;
    this.#settle(now);
    return isDone;
  }

  /**
   * An event is over: what it changed leaves soon. Calls back when everything that has changed is at the peer, or when there is no peer
   * to wait for: now, perhaps.
   */
  follow(now: SteadyMs, done: (now: SteadyMs) => void): void {
    this.look(now);
    if (this.#link.follow(this.#sequence, now) === "done") done(now);
    else this.#commits.push({ sequence: this.#sequence, done });
    this.#settle(now);
  }

  /** An event is over: what it changed leaves soon. */
  look(now: SteadyMs): void {
    const { sequence } = this.#options.store;
    if (sequence === this.#sequence) return;
    this.#sequence = sequence;
    this.#link.changed(now);
    this.#settle(now);
  }

  /** A batch of the peer's. Returns the answer; undefined: that was no batch of the peer's. */
  take(text: string, now: SteadyMs): string | undefined {
    const { peer, exchange, ports, apply, store } = this.#options;
    const batch = parseBatch(text);
    if (isParseError(batch) || batch.cell !== peer) return undefined;
    if (batch.unreadable > 0) ports.log.error(`exchange ${exchange}: ${batch.unreadable} records of the peer are unreadable`);
    const { answer, records } = this.#link.receive(batch, now);
    for (const record of records) apply(record, now);
    this.#sequence = store.sequence;
    this.#link.applied(now);
    this.#settle(now);
    return serializeAnswer(answer);
  }

  /** The peer has answered a batch. */
  answered(id: number, text: string, now: SteadyMs): void {
    const answer = parseAnswer(text);
    if (isParseError(answer)) this.#link.failed(id, false, now);
    else this.#link.answered(id, answer, now);
    this.#settle(now);
  }

  /** A batch was not answered. `isRefused`: there is nobody, rather than somebody who is slow. */
  failed(id: number, isRefused: boolean, cause: string, now: SteadyMs): void {
    this.#link.failed(id, isRefused, now, cause);
    this.#settle(now);
  }

  /** What the core group says of the peer's cell. */
  see(isUp: boolean, heartbeat: ClusterMap["heartbeat"], now: SteadyMs): void {
    this.#link.configure(this.#options.map.replication.ackTimeoutMs, leaseMsOf(heartbeat));
    this.#link.see(isUp, now);
    this.#settle(now);
  }

  /** What an effect brings about may call again: the outermost call carries everything out, in order. */
  #settle(now: SteadyMs): void {
    if (this.#isSettling) return;
    this.#isSettling = true;
    try {
      for (let effects = this.#link.takeEffects(); effects.length > 0; effects = this.#link.takeEffects()) {
        for (const effect of effects) this.#carryOut(effect, now);
      }
    } finally {
      this.#isSettling = false;
    }
    this.#arm(now);
  }

  #carryOut(effect: PeerLinkEffect, now: SteadyMs): void {
    const { ports, changed, known, remember } = this.#options;
    switch (effect.type) {
      case "send":
        return ports.peer.send(effect.id, effect.text);
      case "abandon":
        return ports.peer.abandon(effect.id);
      case "state":
        return changed(effect.state, effect.cause, now);
      case "known":
        return known(effect.until);
      case "memory":
        return remember(effect.memory);
      case "committed":
        return this.#committed(effect.sequence, effect.needsDisk, now);
      case "open":
        return this.#gate.open();
    }
    return effect satisfies never;
  }

  #committed(sequence: number, needsDisk: boolean, now: SteadyMs): void {
    if (!needsDisk || this.#options.writer.flush(now, () => this.#resolve(sequence))) this.#resolve(sequence);
  }

  #resolve(sequence: number): void {
    // Sequence numbers only rise: those that are done come first.
    let count = 0;
    while (count < this.#commits.length && (this.#commits[count]?.sequence ?? 0) <= sequence) count += 1;
    for (const { done } of this.#commits.splice(0, count)) this.#options.release.committed(done);
  }

  #rang(now: SteadyMs): void {
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#link.tick(now);
    this.#settle(now);
  }

  #arm(now: SteadyMs): void {
    const deadline = this.#link.nextDeadline();
    if (deadline === undefined) {
      if (this.#timerAt !== Number.POSITIVE_INFINITY) this.#timer.clear();
      this.#timerAt = Number.POSITIVE_INFINITY;
      return;
    }
    // One that rings too early finds nothing due, and the next is set.
    if (this.#timerAt <= deadline) return;
    this.#timerAt = deadline;
    this.#timer.set(Math.max(1, deadline - now));
  }
}

/** After so long without a word from its peer a replica may be one that everybody believes dead. */
function leaseMsOf({ periodMs, missed }: ClusterMap["heartbeat"]): number {
  return periodMs * missed;
}
