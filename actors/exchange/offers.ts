import type { FrameRecord } from "../../cluster/backhaul/frame.ts";
import { joinFlow } from "../../sip/flow/flow.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { elderAnswerMs, elderOffersMax } from "../limits.ts";
import type { Timer } from "../timer.ts";
import type { Effect } from "./effects.ts";
import type { Exchange } from "./exchange.ts";
import type { ExchangePorts, Offered, OtherExchangesPort } from "./ports.ts";
import { StrayCancels } from "./stray-cancels.ts";
import { isReliableFlow } from "./whereabouts.ts";

type Offering = Extract<Effect, { type: "offer" }>;
type Passing = Extract<Effect, { type: "pass" }>;

export type OffersOptions = {
  readonly ports: Pick<ExchangePorts, "now" | "soon" | "timer"> & { readonly others: Pick<OtherExchangesPort, "offer"> };
  /** See {@link Exchange.cellsOf}. */
  readonly cellsOf: Exchange["cellsOf"];
  /** None of those that were asked has it: it is for this exchange. `committed`: what came of it is at the peer. */
  readonly keep: (access: string, record: FrameRecord, committed: () => void) => void;
};

/** Something that others are asked about. */
type Asked = {
  readonly number: number;
  /** When they are waited for no more. */
  readonly until: SteadyMs;
  /** What is done then, or when all have said no. */
  readonly giveUp: () => void;
  /** How many have not answered. */
  left: number;
};

/**
 * What accesses have brought here, and another exchange is asked about or given (see {@link ElderRequests}). No table has it meanwhile, so the accesses are to
 * keep it: {@link whenOver}. All who are asked are asked at once, and together they have {@link elderAnswerMs}. Who is down is not asked.
 */
export class Offers {
  readonly #options: OffersOptions;
  readonly #timer: Timer;
  /** Those that wait for answers, in the order of their ends. */
  readonly #asked = new Map<number, Asked>();
  /** Those that are not kept anywhere else yet, in their order. */
  readonly #underWay = new Set<number>();
  #last = 0;
  /** Who waits until all up to this number are over, in the same order. */
  #waiting: { readonly number: number; readonly done: () => void }[] = [];
  /** CANCELs that came over connections, and in datagrams. */
  readonly #strays: { readonly connected: StrayCancels; readonly datagrams: StrayCancels };

  constructor(options: OffersOptions) {
    this.#options = options;
    const now = options.ports.now();
    this.#timer = options.ports.timer(() => this.#rang(options.ports.now()));
    this.#strays = { connected: new StrayCancels(now), datagrams: new StrayCancels(now) };
  }

  get areUnderWay(): boolean {
    return this.#underWay.size > 0;
  }

  /** Calls back when all that is under way now is kept elsewhere, or was processed here. Not at once. */
  whenOver(done: () => void): void {
    this.#waiting.push({ number: this.#last, done });
  }

  /** Asks elders whether this belongs to an INVITE that one of them has in hand. */
  offer({ access, record, elders, isCancel }: Offering, now: SteadyMs): void {
    const { ports } = this.#options;
    const flow = joinFlow(access, record.key);
    const strays = isReliableFlow(flow) ? this.#strays.connected : this.#strays.datagrams;
    const isAsked = this.#asked.size < elderOffersMax && (!isCancel || strays.take(flow, now));
    const places = isAsked ? elders.flatMap((elder) => this.#placesOf(elder)) : [];
    const number = this.#begin();
    const giveUp = (): void => this.#options.keep(access, record, () => this.#over(number));
    // Not within the event that has brought it.
    if (places.length === 0) return ports.soon(giveUp);
    this.#ask({ number, until: now + elderAnswerMs, giveUp, left: places.length });
    for (const place of places) {
      ports.others.offer({ ...place, access, record, isSure: false }, (isTaken) => {
        if (!isTaken) return this.#saidNo(number);
        // It belongs to something. Whoever says so late has it twice, with this exchange.
        if (isCancel) strays.giveBack(flow, ports.now());
        if (this.#answered(number)) this.#over(number);
      });
    }
  }

  /** Gives this to the exchange that it is for. Whoever sent it says it again if that does not take it. */
  pass({ access, record, exchange }: Passing, now: SteadyMs): void {
    const number = this.#begin();
    const over = (): void => this.#over(number);
    this.#ask({ number, until: now + elderAnswerMs, giveUp: over, left: 1 });
    const { cells } = this.#options.cellsOf(exchange);
    this.#options.ports.others.offer({ exchange, cells, access, record, isSure: true }, () => this.#saidNo(number));
  }

  /** This replica is none any more: what it was brought, the accesses say to others. */
  end(): void {
    this.#timer.clear();
    this.#asked.clear();
    this.#underWay.clear();
    for (const { done } of this.#waiting.splice(0)) done();
  }

  /** Who is to be asked: the replica in this cell, else both. One of them may stand still, and nobody has noticed yet. */
  #placesOf(exchange: number): Pick<Offered, "exchange" | "cells">[] {
    const { cells, isHere } = this.#options.cellsOf(exchange);
    return isHere ? [{ exchange, cells }] : cells.map((cell) => ({ exchange, cells: [cell] }));
  }

  #begin(): number {
    this.#last += 1;
    this.#underWay.add(this.#last);
    return this.#last;
  }

  #ask(asked: Asked): void {
    if (this.#asked.size === 0) this.#timer.set(elderAnswerMs);
    this.#asked.set(asked.number, asked);
  }

  #saidNo(number: number): void {
    const asked = this.#asked.get(number);
    if (asked === undefined) return;
    asked.left -= 1;
    if (asked.left === 0 && this.#answered(number)) asked.giveUp();
  }

  /** Nobody is waited for any more. False: nobody was. */
  #answered(number: number): boolean {
    const wasAsked = this.#asked.delete(number);
    if (wasAsked && this.#asked.size === 0) this.#timer.clear();
    return wasAsked;
  }

  #rang(now: SteadyMs): void {
    for (const { number, until, giveUp } of this.#asked.values()) {
      if (until > now) return this.#timer.set(until - now);
      this.#asked.delete(number);
      giveUp();
    }
  }

  #over(number: number): void {
    if (!this.#underWay.delete(number)) return;
    const [first = Number.POSITIVE_INFINITY] = this.#underWay;
    while (this.#waiting[0] !== undefined && this.#waiting[0].number < first) this.#waiting.shift()?.done();
  }
}
