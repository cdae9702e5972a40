import { isFormer, nobodyYet, type Owner } from "../../cluster/calls/collector.ts";
import type { Taking } from "../../cluster/calls/messages.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { LiveRecord } from "../../sip/record/state-record.ts";
import { cellOfVersion, msOfVersion } from "../../sip/record/version.ts";
import type { Clocks, SteadyMs } from "../../sip/time.ts";
import { callsBatchMax, callsBatchOctetsMax, callsGatheredMs, callsOfPeerMs, callsRetryMs } from "../limits.ts";
import type { MakeTimer, Timer } from "../timer.ts";

/** Where records of calls go. */
export type CallsPort = {
  /** Brings a delivery to the ledger of this cell. `told` gets its answer; undefined: there is none in time. */
  deliver(delivery: string, told: (taking: Taking | undefined) => void): void;
};

export type CallCourierOptions = Clocks & {
  readonly store: RecordStore;
  readonly timer: MakeTimer;
  readonly port: CallsPort;
  /** The cell of the other replica, which brings what it has noted itself; undefined: it is not there. */
  readonly pairedWith: () => string | undefined;
  readonly isServing: () => boolean;
  /** Two ledgers have these: they may be forgotten. */
  readonly collected: (records: readonly LiveRecord<"call">[]) => void;
};

/**
 * Brings records of calls that are over to the collector, some at a time, until it has them. Both replicas have each; the one that made it brings it,
 * and the other one when that has not happened for a while. The ledger of its own cell takes them, and knows whose collects.
 */
export class CallCourier {
  readonly #options: CallCourierOptions;
  readonly #timer: Timer;
  #isPlanned = false;
  #isUnderWay = false;
  /** The latest owner that has answered. */
  #owner: Owner = nobodyYet;

  constructor(options: CallCourierOptions) {
    this.#options = options;
    this.#timer = options.timer(() => {
      this.#isPlanned = false;
      this.#bring(options.now());
    });
  }

  /** An event is over, which may have noted a call. */
  look(): void {
    if (!this.#isPlanned && !this.#isUnderWay && this.#options.store.count("call") > 0) this.#plan(this.#untilTurnMs());
  }

  /** Exchanges bring theirs at the same moment, so a ledger writes once for all of them. */
  #untilTurnMs(): number {
    const { now, wallAt } = this.#options;
    return callsGatheredMs - (wallAt(now()) % callsGatheredMs);
  }

  #plan(delayMs: number): void {
    this.#isPlanned = true;
    this.#timer.set(delayMs);
  }

  #bring(now: SteadyMs): void {
    const { store, port, isServing } = this.#options;
    if (store.count("call") === 0) return;
    const { records, texts, isMore } = this.#gather(now);
    if (!isServing() || records.length === 0) return this.#plan(callsRetryMs);
    this.#isUnderWay = true;
    port.deliver(`{"records":[${texts.join(",")}]}`, (taking) => this.#answered(records, isMore, taking));
  }

  #answered(records: readonly LiveRecord<"call">[], isMore: boolean, taking: Taking | undefined): void {
    const { store, collected } = this.#options;
    this.#isUnderWay = false;
    const isTaken = taking?.outcome === "taken" && !isFormer(taking.owner, this.#owner);
    if (taking !== undefined && isFormer(this.#owner, taking.owner)) this.#owner = taking.owner;
    // While nobody collects, the disk is the second place.
    store.keepRows("call", !isTaken);
    if (isTaken) collected(records);
    if (!this.#isPlanned && store.count("call") > 0) this.#plan(!isTaken ? callsRetryMs : isMore ? 0 : this.#untilTurnMs());
  }

  /** `isMore`: there was no room for all that is to be brought. */
  #gather(now: SteadyMs): { readonly records: readonly LiveRecord<"call">[]; readonly texts: readonly string[]; readonly isMore: boolean } {
    const { store, pairedWith, wallAt } = this.#options;
    // A cell that the map has here no more brings nothing: it has handed over what it had noted.
    const peer = pairedWith();
    const before = wallAt(now) - callsOfPeerMs;
    const records: LiveRecord<"call">[] = [];
    const texts: string[] = [];
    let octets = 0;
    let isMore = false;
    for (const record of store.records("call")) {
      if (cellOfVersion(record.version) === peer && msOfVersion(record.version) > before) continue;
      const text = store.textOf(record);
      octets += text.length;
      isMore = records.length >= callsBatchMax || (octets > callsBatchOctetsMax && records.length > 0);
      if (isMore) break;
      records.push(record);
      texts.push(text);
    }
    return { records, texts, isMore };
  }
}
