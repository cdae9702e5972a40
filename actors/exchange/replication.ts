import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { parseAnswer, parseBatch, serializeAnswer } from "../../cluster/replication/peer-batch.ts";
import { PeerLink, type PeerLinkEffect, type PeerLinkOptions, type PairState } from "../../cluster/replication/peer-link.ts";
import type { BatchIds } from "../../cluster/replication/sending-side.ts";
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
  /** Of the batches of this replica. */
  readonly ids: BatchIds;
  readonly map: ClusterMap;
  /** The link to a cell that has been told everything while it joined. Absent: nothing is known of the peer. */
  readonly copied?: Copied | undefined;
  /** It served before, without a peer. */
  readonly isServing: boolean;
  /** It has nothing yet, and another cell has. */
  readonly isNewcomer: boolean;
  readonly store: RecordStore;
  readonly ports: Pick<ExchangePorts, "timer" | "soon" | "now" | "peer" | "log">;
  readonly writer: DiskWriter;
  readonly release: Release;
  readonly apply: (record: StateRecord, now: SteadyMs) => void;
  readonly memory: () => Memory;
  /** The peer has told everything, and how far back that goes. */
  readonly remember: (ofPeer: Memory, now: SteadyMs) => void;
  /** Until when everything is known that the peer has made, ms; `Infinity`: and it goes on so. */
  readonly known: (until: SteadyMs, now: SteadyMs) => void;
  /** The replica is something else to its peer than it was. */
  readonly changed: (peer: string, state: PairState, cause: string, now: SteadyMs) => void;
};

/** Why a replica lags that was together with its peer when the map named another one. */
const otherPeerCause = "is the peer now, and has not caught up";

/** Why a replica is together with a peer that the map has only just named. */
const joinedCause = "was told everything while it joined";

/** A link that was none to a peer until now, and what it has said of the pair. */
export type Copied = { readonly link: PeerLink; readonly said: readonly PeerLinkEffect[] };

type Commit = { readonly sequence: number; readonly done: (now: SteadyMs) => void };

/**
 * One replica's side of its pair. It has the link to the peer (cluster/replication) and carries out what that wants. It has what waits for commits,
 * and the gate before which input waits while this replica must not serve.
 */
export class Replication {
  readonly #options: ReplicationOptions;
  #link: PeerLink;
  #map: ClusterMap;
  #peer: string;
  readonly #gate: Gate;
  readonly #timer: Timer;
  #commits: Commit[] = [];
  #timerAt = Number.POSITIVE_INFINITY;
  #sequence: number;
  #isSettling = false;
  #isNewcomer: boolean;

  constructor(options: ReplicationOptions, now: SteadyMs) {
    this.#options = options;
    const { map, peer, store, ports, isServing, copied } = options;
    this.#map = map;
    this.#peer = peer;
    this.#isNewcomer = options.isNewcomer;
    this.#gate = new Gate(ports);
    this.#timer = ports.timer(() => this.#rang(ports.now()));
    this.#sequence = store.sequence;
    this.#link = copied?.link ?? this.#newLink(now, isServing ? { isServing } : undefined);
    for (const effect of copied?.said ?? []) this.#carryOut(effect, now);
  }

  get state(): PairState {
    return this.#link.state;
  }

  get isServing(): boolean {
    return this.#link.isServing;
  }

  /**
   * The map names another peer. Until that one has caught up the disk is the second memory, also for what waited for the old one. One that has been
   * told everything while it joined has caught up. A replica that had not caught up itself asks the new one, unless it `isLeaving`: then it asks nothing any
   * more.
   */
  setPeer(peer: string, map: ClusterMap, { isLeaving, copied }: { isLeaving: boolean; copied: Copied | undefined }, now: SteadyMs): void {
    this.#map = map;
    const before = { isServing: this.#link.end().isServing || isLeaving };
    this.#settle(now);
    this.#peer = peer;
    this.#link = copied?.link ?? this.#newLink(now, before);
    if (before.isServing) {
      const { state } = this.#link;
      this.#options.changed(peer, state, state === "together" ? joinedCause : otherPeerCause, now);
      // The old peer may have been asked what was missed: the new one does not know that.
      this.#gate.open();
    }
    for (const effect of copied?.said ?? []) this.#carryOut(effect, now);
    this.#toDisk(now);
    this.#settle(now);
  }

  /** The map names no peer any more: what waited for one waits for the disk, and input for nothing. */
  end(now: SteadyMs): void {
    this.#link.end();
    this.#settle(now);
    this.#timer.clear();
    this.#toDisk(now);
    this.#gate.open();
  }

  /** What waits before the gate comes now: it is dismissed. */
  letIn(): void {
    this.#gate.open();
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
    const { exchange, ports, apply, store } = this.#options;
    const batch = parseBatch(text);
    if (isParseError(batch) || batch.cell !== this.#peer) return undefined;
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

  /** It has nothing of its own yet, and has been told all that there is by others than its peer. */
  knowsAll(now: SteadyMs): void {
    this.#isNewcomer = false;
    this.#link.knowsAll();
    // The disk is to say so: a later start does not wait for a peer that has died.
    this.#options.writer.flush(now);
    this.#settle(now);
  }

  /** What the core group says of the peer's cell. */
  see(isUp: boolean, heartbeat: ClusterMap["heartbeat"], now: SteadyMs): void {
    this.#link.configure(this.#map.replication.ackTimeoutMs, leaseMsOf(heartbeat));
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
        return ports.peer.send(effect.id, effect.text, this.#peer);
      case "abandon":
        return ports.peer.abandon(effect.id);
      case "state":
        return changed(this.#peer, effect.state, effect.cause, now);
      case "known":
        return known(effect.until, now);
      case "memory":
        return remember(effect.memory, now);
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

  #newLink(now: SteadyMs, before: PeerLinkOptions["before"]): PeerLink {
    const { cell, boot, ids, memory, store } = this.#options;
    const isNewcomer = this.#isNewcomer;
    const { replication, heartbeat } = this.#map;
    const leaseMs = leaseMsOf(heartbeat);
    const options = { cell, boot, ids, ackTimeoutMs: replication.ackTimeoutMs, leaseMs, memory, isNewcomer };
    return new PeerLink(before === undefined ? options : { ...options, before }, store, now);
  }

  /** All that waits for a commit waits for the disk. */
  #toDisk(now: SteadyMs): void {
    const sequence = this.#commits.at(-1)?.sequence;
    if (sequence !== undefined) this.#committed(sequence, true, now);
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
export function leaseMsOf({ periodMs, missed }: ClusterMap["heartbeat"]): number {
  return periodMs * missed;
}
