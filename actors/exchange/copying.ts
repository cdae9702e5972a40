import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { CopyLink } from "../../cluster/replication/copy-link.ts";
import { parseAnswer, parseBatch, serializeAnswer } from "../../cluster/replication/peer-batch.ts";
import type { PeerLinkEffect } from "../../cluster/replication/peer-link.ts";
import type { BatchIds } from "../../cluster/replication/sending-side.ts";
import { isParseError } from "../../sip/errors.ts";
import type { Memory } from "../../sip/record/memory.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import type { SteadyMs } from "../../sip/time.ts";
import type { Timer } from "../timer.ts";
import type { ExchangePorts } from "./ports.ts";
import { leaseMsOf } from "./replication.ts";

export type CopyingOptions = {
  readonly cell: string;
  /** The cell that is told everything. */
  readonly to: string;
  readonly boot: string;
  /** Of the batches of this replica. */
  readonly ids: BatchIds;
  readonly map: ClusterMap;
  readonly store: RecordStore;
  readonly ports: Pick<ExchangePorts, "timer" | "now" | "peer">;
  /** A record that it had itself. */
  readonly apply: (record: StateRecord) => void;
  readonly memory: () => Memory;
  /** It has all, or not any more. */
  readonly changed: () => void;
};

/** Copies a replica to a cell that is to take the place of its peer: drives a {@link CopyLink}. */
export class Copying {
  readonly to: string;
  readonly #options: CopyingOptions;
  readonly #copy: CopyLink;
  readonly #timer: Timer;
  #map: ClusterMap;
  #sequence = 0;
  #isOver = false;

  /** Call {@link start} next. */
  constructor(options: CopyingOptions, now: SteadyMs) {
    const { cell, boot, ids, map, memory, ports, store, to } = options;
    this.to = to;
    this.#options = options;
    this.#map = map;
    this.#timer = ports.timer(() => this.#act((at) => this.#copy.link.tick(at), ports.now()));
    const { ackTimeoutMs } = map.replication;
    this.#copy = new CopyLink({ cell, boot, ids, memory, ackTimeoutMs, leaseMs: leaseMsOf(map.heartbeat) }, store, now);
  }

  get isComplete(): boolean {
    return this.#copy.isComplete;
  }

  /** Speaks to it for the first time. */
  start(now: SteadyMs): void {
    this.#act(() => {}, now);
  }

  /** Records have changed here, perhaps. */
  look(now: SteadyMs): void {
    const { sequence } = this.#options.store;
    if (sequence === this.#sequence) return;
    this.#sequence = sequence;
    this.#act((at) => this.#copy.link.changed(at), now);
  }

  /** A batch of the other one's: what it had before. Returns the answer; undefined: that was none. */
  take(text: string, now: SteadyMs): string | undefined {
    const batch = parseBatch(text);
    if (isParseError(batch) || batch.cell !== this.to) return undefined;
    const { link } = this.#copy;
    const { answer, records } = link.receive(batch, now);
    for (const record of records) this.#options.apply(record);
    this.#act((at) => link.applied(at), now);
    return serializeAnswer(answer);
  }

  /** It has answered a batch. */
  answered(id: number, text: string, now: SteadyMs): void {
    const answer = parseAnswer(text);
    if (isParseError(answer)) this.failed(id, false, "", now);
    else this.#act((at) => this.#copy.link.answered(id, answer, at), now);
  }

  failed(id: number, isRefused: boolean, cause: string, now: SteadyMs): void {
    this.#act((at) => this.#copy.link.failed(id, isRefused, at, cause), now);
  }

  /** What the core group says of its cell. */
  see(isUp: boolean, heartbeat: ClusterMap["heartbeat"], now: SteadyMs): void {
    this.#copy.link.configure(this.#map.replication.ackTimeoutMs, leaseMsOf(heartbeat));
    this.#act((at) => this.#copy.link.see(isUp, at), now);
  }

  setMap(map: ClusterMap): void {
    this.#map = map;
    this.#copy.link.configure(map.replication.ackTimeoutMs, leaseMsOf(map.heartbeat));
  }

  /** It is not to be told any more. */
  end(now: SteadyMs): void {
    this.#copy.end();
    this.#act(() => {}, now);
    this.#isOver = true;
    this.#timer.clear();
  }

  /** The map has made it the peer. Its link goes on as the one to the peer, and says this of the pair. */
  becomePeer(): { readonly link: CopyLink["link"]; readonly said: readonly PeerLinkEffect[] } {
    this.#isOver = true;
    this.#timer.clear();
    return { link: this.#copy.link, said: this.#copy.becomePeer() };
  }

  #act(act: (now: SteadyMs) => void, now: SteadyMs): void {
    if (this.#isOver) return;
    const { peer } = this.#options.ports;
    const wasComplete = this.isComplete;
    act(now);
    for (const effect of this.#copy.takeEffects()) {
      if (effect.type === "send") peer.send(effect.id, effect.text, this.to);
      else if (effect.type === "abandon") peer.abandon(effect.id);
    }
    this.#arm(now);
    if (this.isComplete !== wasComplete) this.#options.changed();
  }

  #arm(now: SteadyMs): void {
    const deadline = this.#copy.link.nextDeadline();
    if (deadline === undefined) this.#timer.clear();
    else this.#timer.set(Math.max(1, deadline - now));
  }
}
