import { type ClusterMap, pairOf } from "../../cluster/map/cluster-map.ts";
import { type FrameRecord, type Hello, RecordKind } from "../../cluster/backhaul/frame.ts";
import type { Arrival, Verdict } from "../../cluster/overload/entrance.ts";
import type { NoisySources } from "../../cluster/overload/noisy-sources.ts";
import type { Timer } from "../timer.ts";
import type { BackhaulLink } from "./backhaul-link.ts";
import type { CellStates } from "./cell-states.ts";
import type { CellUrls } from "./cell-urls.ts";
import { type CellPlace, ExchangeBackhauls } from "./exchange-backhauls.ts";
import type { Heart } from "./heart.ts";
import { heartbeatDefault, watchMsMax, watchMsMin } from "./limits.ts";
import type { Counters, ProcessPorts } from "./ports.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type BackhaulsOptions = {
  readonly gateway: string;
  readonly hello: Hello;
  readonly cellUrls: CellUrls;
  /** When to ping. Others set its period. */
  readonly heart: Heart;
  readonly counters: Counters;
  readonly noise: NoisySources;
  readonly ports: ProcessPorts;
};

export type BackhaulsHandlers = {
  /** Records arrived from an exchange. */
  receive(link: BackhaulLink, records: readonly FrameRecord[]): void;
  /** Records that no exchange took in time: requests among them must be answered. */
  abandoned(records: readonly FrameRecord[]): void;
  /** Records of an exchange that the new map does not have: to be placed anew. */
  displaced(records: readonly FrameRecord[]): void;
  /** How long what comes waits to be read by this process, ms. */
  inputDelayMs(): number;
  /** When a cell was last heard on its control link, ms. */
  heardAt(cell: string): SteadyMs;
  /** Some exchange begins to refuse new requests, or does not any more. */
  sheddingChanged(): void;
};

/** The backhauls to both replicas of every exchange in the map, and the heartbeat that finds out which of them still work. */
export class Backhauls {
  readonly #options: BackhaulsOptions;
  readonly #handlers: BackhaulsHandlers;
  readonly #exchanges = new Map<number, ExchangeBackhauls>();
  #map: ClusterMap | undefined;
  #heartbeat: { readonly periodMs: number; readonly missed: number } = heartbeatDefault;
  /** Cells that a cell declared down in its last view. */
  readonly #declaredDown = new Map<string, ReadonlySet<string>>();
  /** Cells that say of themselves that they are out of service. */
  #draining: ReadonlySet<string> = new Set();
  #dirty = new Set<ExchangeBackhauls>();
  #isFlushPlanned = false;
  readonly #flush = (): void => this.#flushDirty();
  /** Rings again and again while a replica owes the answer to a ping. */
  readonly #watch: Timer;
  #isWatching = false;
  #awakeAt: SteadyMs;

  constructor(options: BackhaulsOptions, handlers: BackhaulsHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#watch = options.ports.timer(() => this.#check());
    this.#awakeAt = options.ports.now();
    options.heart.onLook(() => void this.#now());
    options.heart.onBeat(() => this.#beat());
  }

  /** The newest cluster map; undefined before the first. */
  get map(): ClusterMap | undefined {
    return this.#map;
  }

  /** Octets of records that no exchange has acknowledged. */
  get octetsHeld(): number {
    let octets = 0;
    for (const backhauls of this.#exchanges.values()) octets += backhauls.octetsHeld;
    return octets;
  }

  /** How long input has waited lately for the exchange that is latest, ms; undefined: nothing was asked of any. */
  lateMs(now: SteadyMs): number | undefined {
    const known = [...this.#exchanges.values()].map((backhauls) => backhauls.lateMs(now)).filter((ms) => ms !== undefined);
    return known.length === 0 ? undefined : Math.max(...known);
  }

  /** Of new requests, those that are refused at the entrance to some exchange, from 0 to 1; undefined: all is in time. */
  get shedShare(): number | undefined {
    let share: number | undefined;
    for (const backhauls of this.#exchanges.values()) {
      const one = backhauls.shedShare;
      if (one !== undefined) share = Math.max(share ?? 0, one);
    }
    return share;
  }

  /** True when at least one exchange can be used. */
  get isReachable(): boolean {
    for (const backhauls of this.#exchanges.values()) if (backhauls.isUsable) return true;
    return false;
  }

  /** The cell that messages of this exchange go to now, with this cell in their token or with none; undefined: they wait. */
  routeOf(exchange: number, cell?: string): string | undefined {
    return this.#exchanges.get(exchange)?.routeOf(cell);
  }

  /** What becomes of a message for this exchange, as far as what is taken already is late. */
  verdict(exchange: number, arrival: Arrival, now: SteadyMs): Verdict {
    return this.#exchanges.get(exchange)?.verdict(arrival, now) ?? "take";
  }

  /**
   * Takes a message for this exchange. A token's cell is preferred while it can be used: the transaction is there. Else it is the primary,
   * else the other; when there is neither, it is held. The backhaul that it takes; undefined: it must be refused.
   */
  offer(exchange: number, cell: string | undefined, record: FrameRecord, now: SteadyMs): BackhaulLink | undefined {
    return this.#exchanges.get(exchange)?.offer(record, cell, now);
  }

  /** Makes the backhauls fit a new map. Those that stay are not touched. */
  update(map: ClusterMap, now: SteadyMs): void {
    this.#map = map;
    const isChanged = map.heartbeat.periodMs !== this.#heartbeat.periodMs || map.heartbeat.missed !== this.#heartbeat.missed;
    // The next beat looks whether there is something to watch.
    if (isChanged) this.#endWatch();
    this.#heartbeat = map.heartbeat;
    const places = new Map(this.#options.cellUrls.placesIn(map).map((place) => [place.id, place]));
    for (const by of this.#declaredDown.keys()) if (!places.has(by)) this.#declaredDown.delete(by);
    this.#draining = new Set([...this.#draining].filter((cell) => places.has(cell)));
    const displaced: FrameRecord[] = [];
    for (const [exchange, backhauls] of this.#exchanges) {
      if (exchange < map.exchangeCount) continue;
      this.#exchanges.delete(exchange);
      this.#dirty.delete(backhauls);
      displaced.push(...backhauls.dissolve(now));
    }
    for (let exchange = 0; exchange < map.exchangeCount; exchange += 1) {
      const { primary, secondary } = pairOf(map, exchange);
      const wanted: CellPlace[] = [];
      for (const id of new Set([primary, secondary])) wanted.push(places.get(id) ?? { id, url: "" });
      const present = this.#exchanges.get(exchange);
      if (present === undefined) this.#exchanges.set(exchange, this.#newExchange(exchange, wanted, now));
      else present.update(wanted, map.heartbeat, now);
      if (present === undefined && this.#draining.size > 0) this.#exchanges.get(exchange)?.setDraining(this.#draining, now);
    }
    if (displaced.length > 0) this.#handlers.displaced(displaced);
  }

  /**
   * What one cell thinks of the others. One that it declares down has to answer now, or its backhauls are given up though they still look open. One
   * that is up again is connected to at once. A cell that answers us is never given up: the cut is between the two. One that says that it is out of
   * service itself is given nothing new.
   */
  viewed(by: string, states: CellStates): void {
    const before = this.#declaredDown.get(by);
    const down = new Set<string>();
    for (const [cell, state] of states) if (state === "down" && cell !== by) down.add(cell);
    this.#declaredDown.set(by, down);
    const state = states.get(by);
    // One that was taken out of service and starts anew is joining before it is draining again: nothing new meanwhile.
    const isDraining = state === "draining" || (state !== "up" && this.#draining.has(by));
    if (isDraining !== this.#draining.has(by)) {
      this.#draining = new Set(isDraining ? [...this.#draining, by] : [...this.#draining].filter((cell) => cell !== by));
      for (const backhauls of this.#exchanges.values()) backhauls.setDraining(this.#draining, this.#options.ports.now());
    }
    for (const backhauls of this.#exchanges.values()) {
      for (const link of backhauls.links) {
        if (down.has(link.cell)) backhauls.doubt(link, by);
        else if (before?.has(link.cell) === true) link.hurry();
      }
    }
  }

  /** Tells the exchanges that a connection is gone. `links` undefined: all of them. */
  tellClosed(flowKey: string, links: ReadonlySet<BackhaulLink> | undefined, now: SteadyMs): void {
    const record = { kind: RecordKind.closed, key: flowKey, octets: new Uint8Array(0) };
    // A backhaul that holds too much forgets it: the exchange will learn it by the first message that is undeliverable.
    if (links === undefined) for (const backhauls of this.#exchanges.values()) backhauls.offer(record, undefined, now);
    else for (const link of links) link.answer(record);
  }

  stop(): void {
    this.#endWatch();
    this.#dirty.clear();
    for (const backhauls of this.#exchanges.values()) backhauls.stop();
    this.#exchanges.clear();
  }

  #newExchange(exchange: number, places: readonly CellPlace[], now: SteadyMs): ExchangeBackhauls {
    const { gateway, hello, counters, noise, ports } = this.#options;
    return new ExchangeBackhauls(
      places,
      { exchange, gateway, hello, heartbeat: this.#heartbeat, counters, noise, ports },
      {
        receive: (link, records) => this.#handlers.receive(link, records),
        abandoned: (records) => this.#handlers.abandoned(records),
        dirty: (backhauls) => this.#markDirty(backhauls),
        now: () => this.#now(),
        inputDelayMs: () => this.#handlers.inputDelayMs(),
        heardAt: (cell) => this.#handlers.heardAt(cell),
        sheddingChanged: () => this.#handlers.sheddingChanged(),
      },
      now,
    );
  }

  /** Frames leave at the end of the event loop's turn: what came in one turn goes in one frame, and nothing waits for it. */
  #markDirty(backhauls: ExchangeBackhauls): void {
    this.#dirty.add(backhauls);
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    this.#options.ports.afterThisTurn(this.#flush);
  }

  #flushDirty(): void {
    this.#isFlushPlanned = false;
    const dirty = this.#dirty;
    this.#dirty = new Set();
    const now = this.#now();
    for (const each of dirty) each.flush(now);
  }

  #beat(): void {
    const now = this.#options.ports.now();
    let owesAnswer = false;
    for (const backhauls of this.#exchanges.values()) backhauls.look(now);
    for (const backhauls of this.#exchanges.values()) if (backhauls.beat(this.#heartbeat.missed, now)) owesAnswer = true;
    if (!owesAnswer) this.#endWatch();
    else if (!this.#isWatching) {
      this.#isWatching = true;
      this.#watch.set(this.#watchMs);
    }
  }

  /** Whoever has answered every ping so far is not silent before the next beat: nothing is looked for. */
  #check(): void {
    this.#watch.set(this.#watchMs);
    const now = this.#now();
    for (const backhauls of this.#exchanges.values()) backhauls.check(this.#heartbeat.periodMs / 2, now);
  }

  #endWatch(): void {
    this.#isWatching = false;
    this.#watch.clear();
  }

  get #watchMs(): number {
    return Math.min(watchMsMax, Math.max(watchMsMin, this.#heartbeat.periodMs / 4));
  }

  /**
   * The time. When this process stood still for a good part of what others may be silent (it was stopped, or its machine slept), nobody is judged by
   * that time. Their answers are waiting to be read.
   */
  #now(): number {
    const now = this.#options.ports.now();
    const { periodMs, missed } = this.#heartbeat;
    const lookMs = this.#isWatching ? this.#watchMs : this.#options.heart.lookMs;
    if (now - this.#awakeAt > (periodMs * missed) / 2 + Math.max(lookMs, watchMsMax)) {
      for (const backhauls of this.#exchanges.values()) backhauls.forgive(now);
    }
    this.#awakeAt = now;
    return now;
  }
}
