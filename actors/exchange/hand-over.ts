import { peerBatchOctets } from "../../cluster/limits.ts";
import { exchangeOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { serializeBatch } from "../../cluster/replication/peer-batch.ts";
import { addressOfRecordOfBindingKey } from "../../sip/record/binding-record.ts";
import { serializeRecord } from "../../sip/record/record-text.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { handedOverMs, handOverRetryMs } from "../limits.ts";
import type { Timer } from "../timer.ts";
import type { CoreGroupPort, ExchangePorts, OtherExchangesPort } from "./ports.ts";

export type HandOverOptions = {
  readonly exchange: number;
  readonly cell: string;
  readonly boot: string;
  readonly store: RecordStore;
  readonly ports: Pick<ExchangePorts, "timer"> & { readonly others: Pick<OtherExchangesPort, "give"> } & {
    readonly coreGroup: Pick<CoreGroupPort, "handedOver">;
  };
  /** What has come to belong to others is theirs now, and gone from here; or not yet. */
  readonly changed: (isOver: boolean) => void;
};

/**
 * What an exchange has that belongs to a younger one since the exchanges were doubled: subscribers and bindings. It is brought to that one, and so is what still
 * comes here late. When the other one has had it for a while it is forgotten here, without a tombstone: it has not ended.
 *
 * Each replica does so by itself, with what it has. Merging is commutative, so it does not matter who brings what, nor how often.
 */
export class HandOver {
  readonly #options: HandOverOptions;
  readonly #retry: Timer;
  readonly #drop: Timer;
  #map: ClusterMap;
  /** Everything up to this sequence number of the store has been looked at, and is where it belongs. */
  #seen = 0;
  /** What others have taken. */
  #given: StateRecord[] = [];
  #isUnderWay = false;
  /** Counts maps with more exchanges: what was asked before counts no more. */
  #round = 0;
  #waiting: (() => void)[] = [];
  #isStarted = false;

  constructor(map: ClusterMap, options: HandOverOptions) {
    this.#options = options;
    this.#map = map;
    this.#retry = options.ports.timer(() => this.#goOn());
    this.#drop = options.ports.timer(() => this.#forget());
  }

  /** This is a replica, with what it has on its disk, or has been told when it joined. */
  start(): void {
    this.#isStarted = true;
    if (this.#map.doubled !== undefined) this.#goOn();
  }

  setMap(map: ClusterMap): void {
    const isMore = map.exchangeCount !== this.#map.exchangeCount;
    this.#map = map;
    if (!isMore) return;
    this.#round += 1;
    this.#isUnderWay = false;
    this.#seen = 0;
    this.#given = [];
    this.#options.changed(false);
    if (this.#isStarted) this.#goOn();
  }

  /** Records have changed here, perhaps. */
  look(): void {
    if (!this.#isStarted || this.#map.doubled === undefined || this.#seen === this.#options.store.sequence) return;
    this.#goOn();
  }

  /** Calls back when all that is here of others is theirs. */
  whenGiven(done: () => void): void {
    this.look();
    if (this.#isSettled) done();
    else this.#waiting.push(done);
  }

  /** Says it again to a core group that may have started anew. */
  tell(): void {
    if (this.#isSettled && this.#map.doubled?.isUnderWay === true) this.#options.ports.coreGroup.handedOver(this.#map.exchangeCount);
  }

  get #isSettled(): boolean {
    return this.#map.doubled === undefined || (!this.#isUnderWay && this.#seen === this.#options.store.sequence);
  }

  /** One batch for each exchange that has something here, and the next when all of them have been taken. */
  #goOn(): void {
    if (this.#isUnderWay) return;
    const { groups, until } = this.#gather();
    if (groups.size === 0) {
      this.#seen = until;
      this.#settle();
      return;
    }
    this.#isUnderWay = true;
    this.#drop.clear();
    const round = this.#round;
    let left = groups.size;
    let isTaken = true;
    const answered = (isTakenThere: boolean): void => {
      if (round !== this.#round) return;
      left -= 1;
      isTaken &&= isTakenThere;
      if (left === 0) this.#answered(isTaken ? [...groups.values()].flat() : undefined, until);
    };
    for (const [exchange, records] of groups) this.#options.ports.others.give(exchange, this.#batchOf(records), answered);
  }

  #gather(): { readonly groups: ReadonlyMap<number, readonly StateRecord[]>; readonly until: number } {
    const { exchange, store } = this.#options;
    const groups = new Map<number, StateRecord[]>();
    let until = this.#seen;
    let octets = 0;
    for (const { record, others, sequence } of store.changesAfter(this.#seen)) {
      const place = placeOf(this.#map, record);
      if (place !== undefined && place !== exchange) {
        // As long as most are: what this is for is bounded by much more.
        octets += recordOctets * (1 + others.length);
        if (octets > peerBatchOctets) break;
        const group = groups.get(place);
        if (group === undefined) groups.set(place, [...others, record]);
        else group.push(...others, record);
      }
      until = sequence;
    }
    return { groups, until };
  }

  #batchOf(records: readonly StateRecord[]): string {
    const { cell, boot } = this.#options;
    return serializeBatch({ cell, boot, peerBoot: "", after: 0, sequence: 0, isComplete: false }, records.map(serializeRecord));
  }

  #answered(taken: readonly StateRecord[] | undefined, until: number): void {
    this.#isUnderWay = false;
    if (taken === undefined) return this.#retry.set(handOverRetryMs);
    this.#seen = until;
    this.#given.push(...taken);
    this.#goOn();
  }

  #settle(): void {
    for (const done of this.#waiting.splice(0)) done();
    this.tell();
    if (this.#given.length > 0) this.#drop.set(handedOverMs);
    else this.#end();
  }

  #forget(): void {
    if (this.#isUnderWay) return;
    for (const record of this.#given.splice(0)) this.#options.store.drop(record);
    this.#end();
  }

  /** What comes later still, from a replica that hears of the map late, is brought on in the same way. */
  #end(): void {
    this.#options.changed(true);
  }
}

/** Octets of a usual record as text. */
const recordOctets = 512;

/** The exchange that a record belongs to; undefined: the one that made it, for tokens name that. */
function placeOf(map: ClusterMap, record: StateRecord): number | undefined {
  if (record.kind === "subscriber") return exchangeOf(map, record.key);
  if (record.kind !== "binding") return undefined;
  return exchangeOf(map, record.value?.addressOfRecord ?? addressOfRecordOfBindingKey(record.key));
}
