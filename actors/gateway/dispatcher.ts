import { routingKeyOf } from "../../cluster/map/routing-key.ts";
import { type FrameRecord, RecordKind } from "../../cluster/backhaul/frame.ts";
import { KnownFlows } from "../../cluster/overload/known-flows.ts";
import type { NoisySources } from "../../cluster/overload/noisy-sources.ts";
import { Newcomer } from "../../cluster/overload/newcomer.ts";
import { fnv1a } from "../../sip/flow/token.ts";
import type { Timer } from "../timer.ts";
import type { BackhaulLink } from "./backhaul-link.ts";
import type { Backhauls } from "./backhauls.ts";
import type { Heart } from "./heart.ts";
import { backhaulHoldMs, unplacedOctetsMax } from "./limits.ts";
import type { LocalAnswers } from "./local-answers.ts";
import type { Counters, ProcessPorts } from "./ports.ts";
import { Standstill } from "./standstill.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A connection of a phone, as its adapter knows it. */
export type PhoneConnection = {
  /** Its flow key. */
  readonly key: string;
  /** Backhauls that its messages went over; undefined: too many to remember. */
  readonly links: ReadonlySet<BackhaulLink> | undefined;
  /** A message of it went over this backhaul, which is to hear of its end. */
  usedBy(link: BackhaulLink): void;
};

type Unplaced = { readonly flowKey: string; readonly octets: Uint8Array; readonly connection: PhoneConnection | undefined };

export type DispatcherOptions = {
  readonly heart: Heart;
  readonly ports: ProcessPorts;
  readonly backhauls: Backhauls;
  readonly answers: LocalAnswers;
  readonly counters: Counters;
  readonly noise: NoisySources;
  /** Sources that are never refused for how much they ask. */
  readonly trusted: ReadonlySet<string>;
};

/** Takes every message that came from outside to the exchange it belongs to. */
export class Dispatcher {
  readonly #backhauls: Backhauls;
  readonly #answers: LocalAnswers;
  readonly #counters: Counters;
  readonly #standstill: Standstill;
  /** What came before the first map: a gateway that was killed is back before its map, and phones go on calling. */
  #unplaced: Unplaced[] = [];
  #unplacedOctets = 0;
  readonly #unplacedTimer: Timer;
  readonly #now: () => SteadyMs;
  readonly #knownFlows = new KnownFlows();
  readonly #noise: NoisySources;
  /** Sources that are never refused for how much they ask. */
  readonly #trusted: ReadonlySet<string>;

  constructor(options: DispatcherOptions) {
    const { heart, ports, backhauls, answers, counters, noise, trusted } = options;
    this.#now = ports.now;
    this.#trusted = trusted;
    this.#unplacedTimer = ports.timer(() => {
      const held = this.#unplaced;
      this.#forgetUnplaced();
      for (const { flowKey, octets } of held) this.#refuse(flowKey, octets);
    });
    this.#backhauls = backhauls;
    this.#answers = answers;
    this.#counters = counters;
    this.#noise = noise;
    this.#standstill = new Standstill(
      heart,
      ports,
      ({ key, octets, connection }) => this.#place(key, octets, connection),
      () => {
        counters.dropped += 1;
      },
    );
  }

  /** One SIP message from a flow. */
  receive(flowKey: string, octets: Uint8Array, connection: PhoneConnection | undefined): void {
    this.#counters.messagesIn += 1;
    if (this.#answers.answerOptions(flowKey, octets) || this.#answers.isOwnAck(octets)) return;
    this.#standstill.take({ key: flowKey, octets, connection });
  }

  /** A message leaves for a flow. */
  sent(flowKey: string, octets: Uint8Array): void {
    const now = this.#now();
    this.#knownFlows.sent(flowKey, octets, now);
    if (this.#noise.isOn) this.#noise.sent(this.#knownFlows.payerOf(flowKey), octets, now);
  }

  /** A connection has ended; what it said before is placed by now. */
  closed(flowKey: string): void {
    this.#standstill.closed(flowKey);
  }

  /** There is a map now, or a new one. */
  mapChanged(): void {
    const unplaced = this.#unplaced;
    this.#forgetUnplaced();
    for (const { flowKey, octets, connection } of unplaced) this.#place(flowKey, octets, connection);
  }

  /** Records of backhauls that are no more: messages find their new place, the rest is of no use to another exchange. */
  displaced(records: readonly FrameRecord[]): void {
    for (const { kind, key, octets } of records) if (kind === RecordKind.message) this.#place(key, octets, undefined);
  }

  /** Records that no exchange took in time: never silence, never 404. */
  abandoned(records: readonly FrameRecord[]): void {
    for (const { kind, key, octets } of records) if (kind === RecordKind.message) this.#refuse(key, octets);
  }

  stop(): void {
    this.#standstill.stop();
    this.#forgetUnplaced();
  }

  #place(flowKey: string, octets: Uint8Array, connection: PhoneConnection | undefined): void {
    const { map } = this.#backhauls;
    if (map === undefined) {
      this.#hold({ flowKey, octets, connection });
      return;
    }
    const key = routingKeyOf(octets, 0, octets.length, map);
    const exchange = key?.exchange ?? fnv1a(flowKey) % map.exchangeCount;
    const now = this.#now();
    this.#knownFlows.came(flowKey, octets);
    const verdict = this.#backhauls.verdict(exchange, new Newcomer(octets, key, flowKey, this.#knownFlows, this.#trusted), now);
    if (verdict !== "take") {
      if (verdict === "drop") this.#counters.dropped += 1;
      else this.#refuse(flowKey, octets, true);
      return;
    }
    const link = this.#backhauls.offer(exchange, key?.cell, { kind: RecordKind.message, key: flowKey, octets }, now);
    if (link === undefined) this.#refuse(flowKey, octets);
    else connection?.usedBy(link);
  }

  #hold(unplaced: Unplaced): void {
    if (this.#unplacedOctets + unplaced.octets.length > unplacedOctetsMax) {
      this.#refuse(unplaced.flowKey, unplaced.octets);
      return;
    }
    this.#unplaced.push(unplaced);
    this.#unplacedOctets += unplaced.octets.length;
    if (this.#unplaced.length === 1) this.#unplacedTimer.set(backhaulHoldMs);
  }

  #forgetUnplaced(): void {
    this.#unplacedTimer.clear();
    this.#unplaced = [];
    this.#unplacedOctets = 0;
  }

  /** `isSpread`: see {@link LocalAnswers.refuse}. */
  #refuse(flowKey: string, octets: Uint8Array, isSpread = false): void {
    if (this.#answers.refuse(flowKey, octets, isSpread)) this.#counters.refused += 1;
    else this.#counters.dropped += 1;
  }
}
