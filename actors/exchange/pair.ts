import type { View } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { PairState } from "../../cluster/replication/peer-link.ts";
import type { BatchIds } from "../../cluster/replication/sending-side.ts";
import { joinMemories, type Memory } from "../../sip/record/memory.ts";
import type { SteadyMs } from "../../sip/time.ts";
import type { ExchangeActorOptions } from "./actor-inputs.ts";
import type { DiskWriter } from "./disk-writer.ts";
import type { EventRunner } from "./event-runner.ts";
import type { Exchange } from "./exchange.ts";
import type { Newcomer } from "./newcomer.ts";
import { wasMoved, type Place } from "./place.ts";
import type { ExchangePorts } from "./ports.ts";
import { Replication, type ReplicationOptions } from "./replication.ts";

export type PairOptions = {
  readonly own: Pick<ExchangeActorOptions, "exchange" | "cell" | "boot">;
  readonly exchange: Exchange;
  readonly ids: BatchIds;
  readonly newcomer: Newcomer;
  readonly writer: DiskWriter;
  readonly events: EventRunner;
  readonly ports: ExchangePorts;
  readonly map: () => ClusterMap;
  readonly place: () => Place;
  /** This replica has nothing, and has not had anything. */
  readonly isBlank: () => boolean;
  /** How far back what is known here goes, from now on. */
  readonly remember: (memory: Memory) => void;
  /** The replica is something else to its peer than it was. */
  readonly changed: (peer: string, state: PairState, cause: string, now: SteadyMs) => void;
};

/** Why a peer that was no peer before is one: it has been told everything while it joined. */
export const joinedText = "has joined";

/** The peer that the map names for a replica, and another one when it names another. There may be none: then nothing waits for one. */
export class Pair {
  readonly #options: PairOptions;
  #replication: Replication | undefined;

  constructor(options: PairOptions, now: SteadyMs) {
    this.#options = options;
    const { peer } = options.place();
    this.#replication = peer === undefined ? undefined : this.#replicationWith(peer, now);
    this.#acknowledgeAlone();
  }

  /** Undefined: there is no peer. */
  get replication(): Replication | undefined {
    return this.#replication;
  }

  /** What the replica is to its peer. */
  get state(): PairState | "alone" {
    return this.#replication?.state ?? "alone";
  }

  /** As far as the peer has a say in it. */
  get isServing(): boolean {
    return this.#replication?.isServing ?? true;
  }

  /** The map names this peer from now on, or none. */
  meet(peer: string | undefined, now: SteadyMs): void {
    const { newcomer, events, changed, map, place } = this.#options;
    const copied = newcomer.becomesPeer(peer);
    if (peer !== undefined && this.#replication !== undefined)
      return this.#replication.setPeer(peer, map(), { isLeaving: place().role === "none", copied }, now);
    this.#replication?.end(now);
    this.#replication = peer === undefined ? undefined : this.#replicationWith(peer, now, { isServing: true, copied });
    events.setReplication(this.#replication);
    this.#acknowledgeAlone();
    this.#replication?.start(now);
    if (peer !== undefined && copied !== undefined) changed(peer, copied.link.state, joinedText, now);
  }

  /** What this cell sees of the others. */
  see(reachable: readonly string[], heartbeat: View["heartbeat"], now: SteadyMs): void {
    const { newcomer, place } = this.#options;
    const { peer } = place();
    if (peer !== undefined) this.#replication?.see(reachable.includes(peer), heartbeat, now);
    newcomer.see(reachable, heartbeat, now);
  }

  /** The peer has answered a batch, or a cell that joins has. */
  answered(id: number, answer: string, now: SteadyMs): void {
    this.#replication?.answered(id, answer, now);
    this.#options.newcomer.answered(id, answer, now);
  }

  /** A batch was not answered. `isRefused`: there is nobody, rather than somebody who is slow or unwell. */
  failed(id: number, isRefused: boolean, cause: string, now: SteadyMs): void {
    this.#replication?.failed(id, isRefused, cause, now);
    this.#options.newcomer.failed(id, isRefused, cause, now);
  }

  /** There is nobody to wait for: a removed record needs no row once the disk knows. */
  #acknowledgeAlone(): void {
    if (this.#replication === undefined) this.#options.exchange.store.acknowledge(Number.POSITIVE_INFINITY);
  }

  /** `isServing`: it has served, without a peer. */
  #replicationWith(
    peer: string,
    now: SteadyMs,
    { isServing = false, copied }: Pick<ReplicationOptions, "copied"> & { isServing?: boolean } = {},
  ): Replication {
    const { own, exchange, ids, events, ports, writer, place, isBlank, remember, changed } = this.#options;
    const { role } = place();
    const map = this.#options.map();
    const isNewcomer = role === "joining" || (isBlank() && wasMoved(map, own.exchange, own.cell));
    return new Replication(
      {
        cell: own.cell,
        peer,
        exchange: own.exchange,
        boot: own.boot,
        map,
        ids,
        copied,
        isServing: isServing || role === "none",
        isNewcomer,
        store: exchange.store,
        ports,
        writer,
        release: events.release,
        apply: (record, at) => events.guard(() => exchange.applyFromPeer(record, at)),
        memory: () => exchange.memory,
        remember: (ofPeer, at) => {
          remember(joinMemories(exchange.memory, ofPeer));
          // The disk is to say that it knows all, though that is nothing: a later start does not wait for a peer that has died.
          if (isNewcomer) writer.flush(at);
        },
        known: (until, at) => exchange.setPeerKnown(until, at),
        changed,
      },
      now,
    );
  }
}
