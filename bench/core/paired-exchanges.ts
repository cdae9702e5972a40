import type { Exchange } from "../../actors/exchange/exchange.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import type { FrameRecord } from "../../cluster/backhaul/frame.ts";
import type { CoreModules } from "./core-modules.ts";

export const domain = "bench.test";
/** Kinds of frame records, as numbers: they are what travels, the same in every checkout. */
const messageKind = 2;
const sendKind = 16;
/** How long changes wait for the peer (`peerDelayMs`): everything happens in steps of this. */
export const stepMs = 20;

const map: ClusterMap = {
  version: 1,
  cells: [
    { id: "a", url: "" },
    { id: "b", url: "" },
  ],
  exchangeCount: 1,
  lineCount: 1,
  domains: [{ name: domain, auth: "open" }],
  aliases: [],
  heartbeat: { periodMs: 1000, missed: 3 },
  replication: { ackTimeoutMs: 200 },
  flushMs: 1000,
};

/** A message on its way between an exchange and the phone of a flow. */
export type Message = { readonly key: string; readonly octets: Uint8Array };

/**
 * Two replicas of an exchange with one gateway, without processes and sockets: frames in, frames out, and every step a batch of the first one's
 * records to the second one. What that costs is added up in {@link cpuMs}; what the phones cost is not.
 */
export class PairedExchanges {
  now: number = Date.UTC(2026, 10, 21);
  /** CPU time of this thread that the exchanges have used. */
  cpuMs = 0;
  readonly #core: CoreModules;
  readonly #primary: Exchange;
  readonly #secondary: Exchange;
  #given = 0;
  #held: FrameRecord[] = [];

  constructor(core: CoreModules) {
    this.#core = core;
    this.#primary = this.#newReplica("a");
    this.#secondary = this.#newReplica("b");
  }

  /** Gives messages to the first replica, so many in a frame; what it sends at once. */
  receive(messages: readonly Message[], perFrame: number): Message[] {
    const { decodeFrame, encodeFrame } = this.#core;
    const arriving: Uint8Array[] = [];
    for (let start = 0; start < messages.length; start += perFrame) {
      const records = messages.slice(start, start + perFrame).map(({ key, octets }) => ({ kind: messageKind, key, octets }));
      arriving.push(encodeFrame(1, 0, records));
    }
    const leaving: Uint8Array[] = [];
    const before = process.threadCpuUsage();
    for (const octets of arriving) {
      const frame = decodeFrame(octets);
      if ("frameError" in frame) throw new Error(frame.frameError);
      for (const record of frame.records) this.#primary.receive("g1", record, this.now);
      const records = this.#takeSends();
      if (records.length > 0) leaving.push(encodeFrame(1, 0, records));
    }
    this.#count(before);
    return leaving.flatMap((octets) => this.#read(octets));
  }

  /** Ends a step: timers, the batch to the second replica, and what waited for that. */
  step(): Message[] {
    this.now += stepMs;
    const { encodeFrame } = this.#core;
    const before = process.threadCpuUsage();
    this.#primary.tick(this.now);
    const leaving = this.#takeSends();
    this.#replicate();
    const released = this.#held;
    this.#held = [];
    const encoded = [leaving, released].filter((records) => records.length > 0).map((records) => encodeFrame(1, 0, records));
    this.#count(before);
    return encoded.flatMap((octets) => this.#read(octets));
  }

  /** A second of the disk's: what would be written. */
  flush(): void {
    const before = process.threadCpuUsage();
    const textOf = this.#textOf();
    this.#collect(textOf);
    for (const record of this.#primary.store.takeDirty().put) textOf(record);
    this.#secondary.store.takeDirty();
    this.#primary.sweep(this.now);
    this.#secondary.sweep(this.now);
    this.#count(before);
  }

  /** As the collector has it done. Checkouts from before call records have none. */
  #collect(textOf: (record: StateRecord) => string): void {
    const primary: { collected?: Exchange["collected"] } = this.#primary;
    if (primary.collected === undefined) return;
    const records = [...this.#primary.store.records("call")];
    for (const record of records) textOf(record);
    this.#primary.collected(records, this.now);
  }

  #replicate(): void {
    const { serializeBatch, parseBatch } = this.#core;
    const { records, sequence } = this.#primary.store.changedSince(this.#given, Number.MAX_SAFE_INTEGER);
    if (records.length === 0) return;
    const header = { cell: "a", boot: "a1", peerBoot: "b1", after: this.#given, sequence, isComplete: true };
    const octets = new TextEncoder().encode(serializeBatch(header, records.map(this.#textOf())));
    const batch = parseBatch(new TextDecoder().decode(octets));
    if ("error" in batch) throw new Error(batch.reason);
    const take = this.#taker();
    for (const record of batch.records) take(record, this.now);
    this.#secondary.takeEffects();
    this.#primary.store.acknowledge(sequence);
    this.#given = sequence;
  }

  /** As its shells make a record's text. Checkouts from before a store kept it make it anew each time. */
  #textOf(): (record: StateRecord) => string {
    const store: { textOf?: (record: StateRecord) => string } = this.#primary.store;
    return store.textOf === undefined ? this.#core.serializeRecord : (record) => this.#primary.store.textOf(record);
  }

  /** How the second replica takes a record of the first. Checkouts from before the word peer call the method `applyFromPair`. */
  #taker(): (record: StateRecord, now: number) => void {
    const earlier: { applyFromPair?: (record: StateRecord, now: number) => void } = this.#secondary as object;
    if (earlier.applyFromPair !== undefined) return (record, now) => earlier.applyFromPair?.(record, now);
    return (record, now) => this.#secondary.applyFromPeer(record, now);
  }

  #takeSends(): FrameRecord[] {
    const records: FrameRecord[] = [];
    for (const effect of this.#primary.takeEffects()) {
      if (effect.type !== "send") throw new Error(`an effect that nobody expects: ${effect.type}`);
      (effect.commit === undefined ? records : this.#held).push(effect.record);
    }
    return records;
  }

  #read(octets: Uint8Array): FrameRecord[] {
    const frame = this.#core.decodeFrame(octets);
    if ("frameError" in frame) throw new Error(frame.frameError);
    return frame.records.filter(({ kind }) => kind === sendKind);
  }

  #count(before: NodeJS.CpuUsage): void {
    const { user, system } = process.threadCpuUsage(before);
    this.cpuMs += (user + system) / 1000;
  }

  #newReplica(cell: string): Exchange {
    const { Exchange: Replica, tokenSigner, hashOf } = this.#core;
    let ids = 0;
    const nextId = (): string => `${cell}${(ids += 1).toString(36).padStart(15, "0")}`;
    const tools = {
      sign: tokenSigner("a secret of thirty-two characters"),
      hash: hashOf,
      nextId,
      wallAt: (moment: number): number => moment,
    };
    const replica = new Replica({ exchange: 0, cell, map }, tools, this.now);
    replica.connectAccess("g1", [{ transport: "UDP", host: "192.0.2.1", port: 5060 }]);
    return replica;
  }
}
