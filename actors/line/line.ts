import { isParseError } from "../../sip/errors.ts";
import { retryAfterSeconds, retrySpreadSeconds } from "../../sip/limits.ts";
import { buildResponse } from "../../sip/message/build.ts";
import { parseMessage } from "../../sip/message/sip-message.ts";
import { fnv1a } from "../../sip/flow/token.ts";
import { stillWanted } from "../../cluster/backhaul/backlog.ts";
import { decodeFrame, encodeFrame, isFrameError, jsonOctets, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { keptQuestion } from "../../cluster/backhaul/kept.ts";
import { mayBeOwed, OwedAnswers } from "../../cluster/backhaul/owed-answers.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { forwarderOf, routingKeyOf } from "../../cluster/map/routing-key.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import { isLate } from "../../cluster/time/far-clock.ts";
import { Entrance } from "../../cluster/overload/entrance.ts";
import { KnownFlows } from "../../cluster/overload/known-flows.ts";
import { Newcomer } from "../../cluster/overload/newcomer.ts";
import type { ShedNews } from "../../cluster/overload/shedding.ts";
import { lateKnownMs, owedAskMs } from "../limits.ts";
import type { MakeTimer, Timer } from "../timer.ts";
import { ExchangeLink, type CallOutcome } from "./exchange-link.ts";
import { ReplicaChoice } from "./replica-choice.ts";
import { StandstillGate } from "./standstill-gate.ts";
import type { Clocks, SteadyMs, WallMs } from "../../sip/time.ts";

export type LineOptions = {
  /** The line's access name, as flows have it. */
  readonly access: string;
  /** The cell that it is in. */
  readonly cell: string;
  /** The newest that is known. */
  readonly map: () => ClusterMap;
};

/** What a line needs of the world. `Softphone`: a connection to one, as its adapter knows it. */
export type LinePorts<Softphone> = Clocks & {
  readonly timer: MakeTimer;
  /** Writes a message to a flow. False: the flow is gone. */
  readonly send: (flowKey: string, octets: Uint8Array) => boolean;
  /** Closes a flow, if it is there. */
  readonly close: (flowKey: string) => void;
  /** Notes that a softphone talks to an exchange, which is to hear of its end. */
  readonly remember: (softphone: Softphone, exchange: number) => void;
  /** Those that were noted. */
  readonly exchangesOf: (softphone: Softphone) => Iterable<number>;
  /** Brings a frame to an exchange's replica in a cell. */
  readonly call: (exchange: number, cell: string, frame: Uint8Array, over: (outcome: CallOutcome) => void) => void;
  /** Asks how long ago this process went on after it last stood still, ms; Infinity: never, or nobody knows. */
  readonly wentOnAgo: (told: (ms: number) => void) => void;
  /** From 0 to 1. */
  readonly random: () => number;
  /** For the log: a replica cannot be reached. */
  readonly unreachable: (exchange: number, cell: string, reason: Error) => void;
  /** For the log: new requests for an exchange are refused because all is late, or not any more. */
  readonly overload: (exchange: number, news: ShedNews) => void;
};

/** A message of a softphone's, on this flow. */
type Spoken<Softphone> = { readonly key: string; readonly octets: Uint8Array; readonly softphone: Softphone };

const noOctets = new Uint8Array(0);
const nobody: ReadonlySet<string> = new Set();

/**
 * A pipe between softphones and exchanges, without call state: what a gateway is to phones. A message goes to the exchange that its routing key
 * names. What exchanges send goes to the flow that they name.
 */
export class Line<Softphone> {
  readonly #options: LineOptions;
  readonly #ports: LinePorts<Softphone>;
  /** By `<exchange>.<cell>`. */
  readonly #links = new Map<string, ExchangeLink>();
  readonly #choice = new ReplicaChoice();
  readonly #entrances = new Map<number, Entrance>();
  /** By exchange: how long frames waited for it when that was last measured, ms, and when that was. */
  readonly #waited = new Map<number, { readonly ms: number; readonly at: SteadyMs }>();
  readonly #knownFlows = new KnownFlows();
  readonly #owed = new OwedAnswers();
  /** Those that are said again. The replica that had them may live after all, and answer: they are not refused here. */
  readonly #again = new WeakSet<FrameRecord>();
  readonly #owedTimer: Timer;
  #isOwedAsked = false;
  readonly #gate: StandstillGate<Spoken<Softphone>>;

  constructor(options: LineOptions, ports: LinePorts<Softphone>) {
    this.#options = options;
    this.#ports = ports;
    this.#owedTimer = ports.timer(() => this.#askOwing());
    this.#gate = new StandstillGate({
      wentOnAgo: ports.wentOnAgo,
      pass: (message) => this.#toExchange(message, ports.now()),
      timer: ports.timer,
      now: ports.now,
    });
  }

  /** Octets of records that no exchange has acknowledged. */
  get octetsHeld(): number {
    let octets = 0;
    for (const link of this.#links.values()) octets += link.octetsHeld;
    return octets;
  }

  /** How long frames have waited lately for the exchange that is latest, ms; undefined: nothing was asked of any. */
  lateMs(now: SteadyMs): number | undefined {
    for (const entrance of this.#entrances.values()) entrance.look(now);
    const known = [...this.#waited.values()].filter(({ at }) => now - at < lateKnownMs).map(({ ms }) => ms);
    return known.length === 0 ? undefined : Math.max(...known);
  }

  /** A softphone has said a message. */
  said(message: Spoken<Softphone>, now: SteadyMs): void {
    this.#gate.take(message, now);
  }

  /** A softphone's connection has ended. */
  ended(flowKey: string, softphone: Softphone): void {
    this.#gate.closed(flowKey);
    const record = { kind: RecordKind.closed, key: flowKey, octets: noOctets };
    for (const exchange of this.#ports.exchangesOf(softphone)) this.#offer(exchange, undefined, record, this.#ports.now());
  }

  /**
   * A frame from an exchange. The answer brings back what could not be delivered. Undefined: it came after this time (ms), and the exchange has
   * given it up; no new request of it was delivered.
   */
  deliver(octets: Uint8Array, until?: WallMs): Uint8Array | undefined {
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) throw new Error(`frame to line ${this.#options.access}: ${frame.frameError}`);
    if (isLate(until, this.#ports.wallAt(this.#ports.now()))) {
      this.#carryOut(stillWanted(frame.records));
      return undefined;
    }
    return encodeFrame(0, 0, this.#carryOut(frame.records));
  }

  /** Writes to softphones. Returns what could not be delivered. */
  #carryOut(records: readonly FrameRecord[]): FrameRecord[] {
    const returned: FrameRecord[] = [];
    const hasLost = this.#choice.hasLost(this.#ports.now());
    for (const { kind, key, octets } of records) {
      if (kind === RecordKind.send) {
        if (hasLost) this.#heard(octets);
        this.#knownFlows.sent(key, octets, this.#ports.now());
        this.#owed.answered(key, octets);
        if (!this.#ports.send(key, octets)) returned.push({ kind: RecordKind.undeliverable, key, octets });
      } else if (kind === RecordKind.closeFlow) {
        this.#ports.close(key);
      } else if (kind === RecordKind.resolve) {
        // A line has no way to addresses outside.
        returned.push({ kind: RecordKind.resolved, key, octets: jsonOctets([]) });
      }
    }
    return returned;
  }

  /** A request of a replica that counts as unreachable: it is not. */
  #heard(octets: Uint8Array): void {
    const from = forwarderOf(octets, this.#options.map());
    if (from?.cell !== undefined) this.#choice.heard(from.exchange, from.cell);
  }

  #toExchange({ key: flowKey, octets, softphone }: Spoken<Softphone>, now: SteadyMs): void {
    const map = this.#options.map();
    // Any exchange answers junk; one softphone's always goes to the same.
    const key = routingKeyOf(octets, 0, octets.length, map) ?? { exchange: fnv1a(flowKey) % map.exchangeCount };
    const record = { kind: RecordKind.message, key: flowKey, octets };
    this.#knownFlows.came(flowKey, octets);
    const newcomer = new Newcomer(octets, key, flowKey, this.#knownFlows, nobody);
    const verdict = this.#entranceTo(key.exchange).verdict(newcomer, now);
    if (verdict === "drop") return;
    if (verdict !== "take") return this.#refuse(record, true);
    this.#ports.remember(softphone, key.exchange);
    this.#offer(key.exchange, key.cell, record, now);
  }

  #entranceTo(exchange: number): Entrance {
    const known = this.#entrances.get(exchange);
    if (known !== undefined) return known;
    const entrance = new Entrance({
      delayMs: (now) => this.#measure(exchange, now),
      news: (news) => this.#ports.overload(exchange, news),
      random: this.#ports.random,
    });
    this.#entrances.set(exchange, entrance);
    return entrance;
  }

  #measure(exchange: number, now: SteadyMs): number | undefined {
    const ms = this.#waitingMs(exchange);
    if (ms !== undefined) this.#waited.set(exchange, { ms, at: now });
    return ms;
  }

  /** How long frames wait for the replica that what is new goes to, ms. */
  #waitingMs(exchange: number): number | undefined {
    for (const cell of this.#inOrder(exchange, undefined)) {
      const link = this.#links.get(`${exchange}.${cell}`);
      if (link !== undefined) return link.takeWaitingMs();
    }
    return 0;
  }

  /**
   * Gives a record to the first replica that can be reached. The one that the routing key names comes first, then this cell's own, then the others as
   * the map says.
   */
  #offer(exchange: number, preferredCell: string | undefined, record: FrameRecord, now: SteadyMs): void {
    const cells = this.#inOrder(exchange, preferredCell);
    this.#give(exchange, cells, this.#choice.choose(exchange, cells, record.key, now) ?? cells[0], record, now);
  }

  #inOrder(exchange: number, preferredCell: string | undefined): readonly string[] {
    const serving = servingCells(this.#options.map(), exchange, this.#options.cell);
    const isPreferred = preferredCell !== undefined && serving.includes(preferredCell);
    return isPreferred ? [preferredCell, ...serving.filter((cell) => cell !== preferredCell)] : serving;
  }

  #give(exchange: number, cells: readonly string[], cell: string | undefined, record: FrameRecord, now: SteadyMs): void {
    if (cell === undefined) return this.#refuse(record);
    const link = this.#linkTo(exchange, cell);
    // What a lost one had in progress for this line's phones is to be taken over before they say anything again.
    if (this.#choice.owesTakeover(exchange, cell)) link.offer({ kind: RecordKind.takeover, key: "", octets: noOctets }, now);
    if (!link.offer(record, now)) return this.#refuse(record);
    if (record.kind === RecordKind.closed || (mayBeOwed(record) && this.#hasToken(record))) this.#owes(record, `${exchange}.${cell}`, now);
    this.#choice.given(exchange, cell, cells[0], record.key, link.offered);
  }

  #linkTo(exchange: number, cell: string): ExchangeLink {
    const name = `${exchange}.${cell}`;
    const known = this.#links.get(name);
    if (known !== undefined) return known;
    const { access, cell: own } = this.#options;
    const { now, timer, call } = this.#ports;
    const link = new ExchangeLink({
      access,
      now,
      timer,
      call: (frame, over) => call(exchange, cell, frame, over),
      isUnordered: cell !== own,
      received: (records) => {
        this.#choice.answered(exchange, cell, link.settled);
        const returned = this.#carryOut(records);
        for (const record of returned) link.offer(record, now());
      },
      failed: (records, reason) => {
        this.#ports.unreachable(exchange, cell, reason);
        this.#failed(exchange, cell, records);
      },
    });
    this.#links.set(name, link);
    return link;
  }

  #owes(record: FrameRecord, to: string, now: SteadyMs): void {
    this.#owed.given(record, now, to);
    if (this.#isOwedAsked || this.#owed.isEmpty) return;
    this.#isOwedAsked = true;
    this.#owedTimer.set(owedAskMs);
  }

  /** A line has no connection to a replica whose end would tell. Who has not answered for long is asked something: if it is lost that is noticed. */
  #askOwing(): void {
    const now = this.#ports.now();
    for (const name of this.#owed.since(owedAskMs, now)) this.#links.get(name)?.offer(keptQuestion, now);
    this.#isOwedAsked = !this.#owed.isEmpty;
    if (this.#isOwedAsked) this.#owedTimer.set(owedAskMs);
  }

  #hasToken({ octets }: FrameRecord): boolean {
    return routingKeyOf(octets, 0, octets.length, this.#options.map())?.cell !== undefined;
  }

  /** A replica is away: what it has not taken goes to the other one, unless that is away too. */
  #failed(exchange: number, cell: string, records: readonly FrameRecord[]): void {
    const now = this.#ports.now();
    const cells = this.#inOrder(exchange, cell);
    const isUntold = records.some(({ kind }) => kind === RecordKind.takeover);
    this.#choice.failed(exchange, cell, isUntold ? cells : [], now);
    // What it had in hand is nowhere else. It stays here while nobody can be reached: that is no refusal, for it was taken.
    for (const { record, at } of this.#owed.take(now, `${exchange}.${cell}`)) {
      if (records.includes(record)) continue;
      const next = this.#choice.choose(exchange, cells, record.key, now);
      if (next === undefined) this.#owes(record, `${exchange}.${cell}`, at);
      else {
        this.#again.add(record);
        this.#give(exchange, cells, next, record, now);
      }
    }
    for (const record of records) {
      if (record.kind === RecordKind.takeover || record === keptQuestion) continue;
      this.#give(exchange, cells, this.#choice.choose(exchange, cells, record.key, now), record, now);
    }
  }

  /**
   * RFC 3261 21.5.4: nobody can take this request now. What is no request is dropped; its sender will say it again. `isSpread`: there are many, who must not come
   * back together.
   */
  #refuse(record: FrameRecord, isSpread = false): void {
    if (record.kind !== RecordKind.message || this.#again.has(record)) return;
    const message = parseMessage(record.octets);
    if (isParseError(message) || !message.isRequest || message.method === "ACK") return;
    const spread = isSpread ? fnv1a(message.callId) % (retrySpreadSeconds + 1) : 0;
    this.#ports.send(record.key, buildResponse(message, 503, { headers: [["Retry-After", String(retryAfterSeconds + spread)]] }));
  }
}
