import { shedDelayMs } from "../../cluster/limits.ts";
import { type FrameRecord, type Hello, RecordKind, jsonOctets } from "../../cluster/backhaul/frame.ts";
import { type Heartbeat, ReplicaWays, type ReplicaWaysEffect } from "../../cluster/backhaul/replica-ways.ts";
import type { ReplicaWaysLimits } from "../../cluster/backhaul/replica-ways-limits.ts";
import { Entrance, type Arrival, type Verdict } from "../../cluster/overload/entrance.ts";
import { kindOf } from "../../cluster/overload/kinds.ts";
import type { NoisySources } from "../../cluster/overload/noisy-sources.ts";
import type { ShedNews } from "../../cluster/overload/shedding.ts";
import { lateKnownMs } from "../limits.ts";
import type { Timer } from "../timer.ts";
import { BackhaulLink } from "./backhaul-link.ts";
import type { Loss } from "./cell-link.ts";
import { LeftBackhauls } from "./left-backhauls.ts";
import {
  declaredDownAnswerMs,
  declaredDownLateMs,
  exchangeQueueNewOctetsMax,
  exchangeQueueOctetsMax,
  exchangeQueueUnprovedOctetsMax,
  flapMs,
  helloAnswerMs,
  movesMax,
  returnSettleMs,
  returnWaitMs,
  servingAssumedMs,
  backhaulHoldMs,
} from "./limits.ts";
import type { Counters, ProcessPorts } from "./ports.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type ExchangeBackhaulsOptions = {
  readonly exchange: number;
  readonly gateway: string;
  readonly hello: Hello;
  readonly heartbeat: Heartbeat;
  readonly counters: Counters;
  readonly noise: NoisySources;
  readonly ports: ProcessPorts;
};

export type ExchangeBackhaulsHandlers = {
  /** Records arrived from the exchange. */
  receive(link: BackhaulLink, records: readonly FrameRecord[]): void;
  /** Records that no replica took in time. */
  abandoned(records: readonly FrameRecord[]): void;
  /** Something may be due: flush at the end of this turn. */
  dirty(backhauls: ExchangeBackhauls): void;
  /** The time, to be asked for before anything is judged by it. */
  now(): number;
  /** How long what comes waits to be read by this gateway, ms. */
  inputDelayMs(): number;
  /** When a cell was last heard on its control link, ms. */
  heardAt(cell: string): SteadyMs;
  /** New requests begin to be refused, or none is any more. */
  sheddingChanged(): void;
};

export type CellPlace = { readonly id: string; readonly url: string };

const limits: ReplicaWaysLimits = {
  octetsMax: exchangeQueueOctetsMax,
  holdMs: backhaulHoldMs,
  servingAssumedMs,
  helloAnswerMs,
  flapMs,
  returnWaitMs,
  returnSettleMs,
  movesMax,
};

/** The backhauls to both replicas of one exchange: their sockets, and the clock for what `ReplicaWays` decides. */
export class ExchangeBackhauls {
  readonly #options: ExchangeBackhaulsOptions;
  readonly #handlers: ExchangeBackhaulsHandlers;
  readonly #ways: ReplicaWays;
  readonly #links = new Map<string, BackhaulLink>();
  readonly #left: LeftBackhauls;
  readonly #entrance: Entrance;
  /** How long input waited when that was last known. */
  #waited: { readonly ms: number; readonly at: SteadyMs } | undefined;
  /** Requests that were refused since they began to be. */
  #shed = 0;
  readonly #timer: Timer;
  /** When the timer fires, ms; Infinity: never. */
  #wakesAt = Number.POSITIVE_INFINITY;
  #isFlushing = false;

  constructor(places: readonly CellPlace[], options: ExchangeBackhaulsOptions, handlers: ExchangeBackhaulsHandlers, now: SteadyMs) {
    this.#options = options;
    this.#handlers = handlers;
    this.#left = new LeftBackhauls(options.ports.timer);
    this.#timer = options.ports.timer(() => {
      this.#wakesAt = Number.POSITIVE_INFINITY;
      this.flush(handlers.now());
    });
    this.#entrance = new Entrance(
      { delayMs: (at) => this.#measure(at), news: (news) => this.#tellShedding(news), random: options.ports.random },
      options.noise,
    );
    const hello = { kind: RecordKind.hello, key: options.gateway, octets: jsonOctets(options.hello) };
    this.#ways = new ReplicaWays([], { hello, heartbeat: options.heartbeat, limits }, now);
    this.update(places, options.heartbeat, now);
  }

  /** Octets of records that no replica has acknowledged. */
  get octetsHeld(): number {
    return this.#ways.octetsHeld;
  }

  /** True when a message would be sent now. */
  get isUsable(): boolean {
    return this.#ways.isUsable;
  }

  /** Of new requests, those that are refused because all is late, from 0 to 1; undefined: it is not. */
  get shedShare(): number | undefined {
    return this.#entrance.share;
  }

  /** How long input has waited lately, ms; undefined: nothing was asked. */
  lateMs(now: SteadyMs): number | undefined {
    this.look(now);
    return this.#waited === undefined || now - this.#waited.at >= lateKnownMs ? undefined : this.#waited.ms;
  }

  /** Looks whether what waits here, or is under way, is late. */
  look(now: SteadyMs): void {
    this.#entrance.look(now);
  }

  /** Another cell says that this one is down. Where there is too much to do, a ping takes its time. */
  doubt(link: BackhaulLink, by: string): void {
    link.doubt(by, this.#ways.isOverloaded ? declaredDownLateMs : declaredDownAnswerMs);
  }

  /** What becomes of a message, as far as what is taken already is late. */
  verdict(arrival: Arrival, now: SteadyMs): Verdict {
    const held = this.#ways.octetsHeld;
    if (held > exchangeQueueNewOctetsMax) {
      const full = verdictOfFull(arrival, held);
      if (full !== "take") return full;
    }
    const verdict = this.#entrance.verdict(arrival, now);
    if (verdict === "refuse") {
      this.#shed += 1;
      this.#options.counters.shed += 1;
    } else if (verdict === "noise") this.#options.counters.noise += 1;
    return verdict;
  }

  routeOf(cell: string | undefined): string | undefined {
    return this.#ways.routeOf(cell);
  }

  get links(): IterableIterator<BackhaulLink> {
    return this.#links.values();
  }

  /** Makes the backhauls fit a new map: `places` has the primary first. Those that stay are not touched. */
  update(places: readonly CellPlace[], heartbeat: Heartbeat, now: SteadyMs): void {
    const { exchange, ports } = this.#options;
    for (const [id, link] of this.#links) {
      if (places.some((place) => place.id === id && place.url === link.url)) continue;
      this.#links.delete(id);
      if (places.some((place) => place.id === id)) link.abandon();
      else this.#left.add(link);
      this.#ways.lost(id, now);
    }
    this.#ways.setCells(
      places.map(({ id }) => id),
      now,
    );
    this.#ways.setHeartbeat(heartbeat, now);
    for (const place of places) {
      if (this.#links.has(place.id)) continue;
      const link = new BackhaulLink(exchange, place, ports, {
        opened: (each) => this.#opened(each),
        received: (each, frame) => this.#received(each, frame),
        down: (each, reason, loss) => this.#down(each, reason, loss),
        answered: (each, record) => void this.offer(record, each.cell, ports.now()),
      });
      this.#links.set(place.id, link);
      link.start();
    }
    this.#handlers.dirty(this);
  }

  /** Cells that are out of service: what is new goes to the other replica. */
  setDraining(cells: ReadonlySet<string>, now: SteadyMs): void {
    this.#ways.setDraining(cells, now);
    this.#handlers.dirty(this);
  }

  /** Takes a record for the exchange. The backhaul that it takes; undefined: nobody has room, or nobody was there for too long. */
  offer(record: FrameRecord, cell: string | undefined, now: SteadyMs): BackhaulLink | undefined {
    const taker = this.#ways.offer(record, cell, now);
    if (taker === undefined) return undefined;
    this.#handlers.dirty(this);
    return this.#links.get(taker);
  }

  /** Sends what is due, and comes back when more will be. */
  flush(now: SteadyMs): void {
    // What is carried out below may bring the next event at once.
    if (this.#isFlushing) return this.#handlers.dirty(this);
    this.#isFlushing = true;
    this.#ways.tick(now);
    for (const effect of this.#ways.takeEffects()) this.#carryOut(effect);
    this.#isFlushing = false;
    this.#arm(now);
  }

  /** One beat of the heart. True: a replica owes an answer, and is to be looked at in between. */
  beat(missed: number, now: SteadyMs): boolean {
    let owesAnswer = false;
    for (const link of this.#links.values()) {
      link.beat(this.#ways.missedMax(link.cell, now));
      owesAnswer ||= link.owesAnswer(missed);
    }
    return owesAnswer;
  }

  /** Gives up who is silent. */
  check(answerMs: number, now: SteadyMs): void {
    for (const link of this.#links.values()) link.check(this.#ways.missedMax(link.cell, now), answerMs, now);
  }

  /** Answers may lie unread: silence so far proves nothing. */
  forgive(now: SteadyMs): void {
    this.#ways.awoke(now);
    for (const link of this.#links.values()) link.forgive();
  }

  stop(): void {
    this.#timer.clear();
    for (const link of this.#links.values()) link.stop();
    this.#links.clear();
    this.#left.stop();
  }

  /** The map has this exchange no more: everything that nobody acknowledged. */
  dissolve(now: SteadyMs): FrameRecord[] {
    this.#timer.clear();
    for (const link of this.#links.values()) link.abandon();
    this.#links.clear();
    this.#left.stop();
    return this.#ways.takeAll(now);
  }

  #opened(link: BackhaulLink): void {
    const now = this.#handlers.now();
    this.#options.ports.log("backhaul-up", { exchange: link.exchange, cell: link.cell });
    this.#ways.opened(link.cell, now);
    this.flush(now);
  }

  #received(link: BackhaulLink, frame: Uint8Array): void {
    this.#options.counters.framesIn += 1;
    const isLeft = this.#left.has(link);
    const records = isLeft ? this.#left.receive(link, frame) : this.#ways.receive(link.cell, frame, this.#options.ports.now());
    if ("frameError" in records) {
      link.drop(`a frame that is none: ${records.frameError}`);
      return;
    }
    if (records.length > 0) this.#handlers.receive(link, records);
    this.#handlers.dirty(this);
  }

  #down(link: BackhaulLink, reason: string, loss: Loss): void {
    if (this.#left.has(link)) return this.#left.ended(link);
    const { counters, exchange, ports } = this.#options;
    counters.backhaulFailures += 1;
    // The control link says it of another version, once for all backhauls.
    if (loss !== "another version") ports.log("backhaul-down", { exchange, cell: link.cell, reason });
    const now = this.#handlers.now();
    this.#ways.lost(link.cell, now, loss === "missed heartbeats");
    this.flush(now);
  }

  #carryOut(effect: ReplicaWaysEffect): void {
    const { counters, exchange, ports } = this.#options;
    switch (effect.type) {
      case "frame":
        counters.framesOut += 1;
        this.#links.get(effect.cell)?.send(effect.octets);
        break;
      case "drop":
        this.#links.get(effect.cell)?.drop(effect.reason);
        break;
      case "abandoned":
        this.#handlers.abandoned(effect.records);
        break;
      case "takenOver":
        counters.takeovers += 1;
        this.#entrance.disturbed(ports.now());
        counters.messagesMoved += effect.records;
        ports.log("takeover", { exchange, from: effect.from, to: effect.to, records: effect.records });
        break;
      case "returned":
        this.#entrance.disturbed(ports.now());
        ports.log("return", { exchange, from: effect.from, to: effect.to });
        break;
      default:
        effect satisfies never;
    }
  }

  #measure(now: SteadyMs): number | undefined {
    const ms = this.#delayMs();
    if (ms !== undefined) this.#waited = { ms, at: now };
    return ms;
  }

  #delayMs(): number | undefined {
    const own = this.#handlers.inputDelayMs();
    const waiting = this.#ways.takeWaitingMs((cell) => Math.max(this.#links.get(cell)?.heardAt ?? 0, this.#handlers.heardAt(cell)));
    if (waiting !== undefined) return own + waiting;
    return own > shedDelayMs ? own : undefined;
  }

  #tellShedding(news: ShedNews): void {
    const { exchange, ports } = this.#options;
    this.#ways.isOverloaded = news === "began";
    this.#handlers.sheddingChanged();
    if (news === "began") {
      this.#shed = 0;
      const lateMs = Math.round(this.#entrance.delayMs);
      ports.log("overload", { exchange, lateMs, share: (this.#entrance.share ?? 0).toFixed(2) });
    } else ports.log("overload-over", { exchange, refused: this.#shed });
  }

  /** One timer, for the next deadline; one that fires too early finds nothing to do. */
  #arm(now: SteadyMs): void {
    const deadline = this.#ways.nextDeadline();
    if (deadline === undefined || this.#wakesAt <= deadline) return;
    this.#wakesAt = deadline;
    this.#timer.set(Math.max(1, deadline - now));
  }
}

/** Who has room in a queue that is nearly full: what is new has none, and what goes on has some more where it belongs to something for sure. */
function verdictOfFull(arrival: Arrival, held: number): Verdict {
  const kind = kindOf(arrival.octets, arrival.key);
  if (kind === "emergency" || arrival.isTrusted()) return "take";
  if (kind === "begins") return "refuse";
  if (kind === "registers") return arrival.isKnown() ? "take" : "refuse";
  return held <= exchangeQueueUnprovedOctetsMax || arrival.isProved() ? "take" : "drop";
}
