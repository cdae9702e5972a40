import { emergenciesPerSecondMax, shedRegistersMs, tokensPerProved, tokensPerStray } from "../limits.ts";
import type { RoutingKey } from "../map/routing-key.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { Decisions } from "./decisions.ts";
import { FairShares } from "./fair-shares.ts";
import { callHashOf, isInvite, kindOf, seedOf, spread, type Kind } from "./kinds.ts";
import type { NoisySources } from "./noisy-sources.ts";
import { Shedding, type ShedNews } from "./shedding.ts";
import { Strays } from "./strays.ts";

/** One message that wants to be taken to an exchange. */
export type Arrival = {
  readonly octets: Uint8Array;
  readonly key: RoutingKey | undefined;
  /** Where it comes from, as limits for each source count; asked for only when it matters. */
  readonly source: () => string;
  /** Whose account pays for it: what is proved by its flow does not pay for what only says that it comes from there. */
  readonly payer: () => string;
  /** Its flow was answered 200 to a REGISTER lately. */
  readonly isKnown: () => boolean;
  /** Its phone has registered lately, or its source has had a call. */
  readonly isProved: () => boolean;
  /** It may be a copy: it came in a datagram. */
  readonly isRepeatable: () => boolean;
  /** Its source is trusted by the operator: it is never refused for what it asks. */
  readonly isTrusted: () => boolean;
};

export type Verdict = "take" | "refuse" | "noise" | "drop";

/** What an entrance asks and tells. */
export type EntranceHandlers = {
  /** The shortest time that input waited since the last time it was asked, ms; undefined: nothing was answered. */
  delayMs(now: SteadyMs): number | undefined;
  news(news: ShedNews, now: SteadyMs): void;
  /** From 0 to 1. Asked for once: what is taken must not be known before. */
  random(): number;
};

/**
 * The entrance to one exchange: what of that which comes is taken while the exchange, or the way to it, is late. Only what would begin something new is
 * refused.
 */
export class Entrance {
  readonly #shedding = new Shedding();
  readonly #shares = new FairShares();
  readonly #decisions = new Decisions();
  readonly #strays = new Strays();
  readonly #tokens = new Strays(tokensPerStray);
  readonly #ofProved = new Strays(tokensPerProved, secondsOfProvedAtFirst, true);
  /** Of all entrances of this process together; undefined: nobody is looked at before all is late. */
  readonly #noise: NoisySources | undefined;
  readonly #handlers: EntranceHandlers;
  /** Nobody else knows it. */
  readonly #secret: number;
  #decided = 0;
  #emergencies = 0;
  #emergenciesSince: SteadyMs = 0;

  constructor(handlers: EntranceHandlers, noise?: NoisySources) {
    this.#handlers = handlers;
    this.#noise = noise;
    this.#secret = Math.floor(handlers.random() * 2 ** 32);
  }

  /** Of new requests, those that are refused: from 0 to 1; undefined: input is in time. */
  get share(): number | undefined {
    return this.#shedding.isOn ? this.#shedding.share : undefined;
  }

  /** As last measured, ms. */
  get delayMs(): number {
    return this.#shedding.delayMs;
  }

  /** See {@link Shedding.disturbed}. */
  disturbed(now: SteadyMs): void {
    this.#shedding.disturbed(now);
  }

  /** Looks at how late input is, if it is time to. Call it now and then while nothing comes, too. */
  look(now: SteadyMs): void {
    if (!this.#shedding.isDue(now)) return;
    const news = this.#shedding.measured(this.#handlers.delayMs(now), now);
    if (news !== undefined) this.#handlers.news(news, now);
  }

  /** `refuse`: with 503. `noise`: likewise, not because all is late, but because its source asks for much and gets nothing. `drop`: it was refused a moment ago, and its sender hears of it. */
  verdict(arrival: Arrival, now: SteadyMs): Verdict {
    this.look(now);
    const { octets, key } = arrival;
    const kind = kindOf(octets, key);
    const noise = this.#noise?.came(kind, now) === true ? this.#noise : undefined;
    if (!this.#shedding.isAlert && noise === undefined) {
      // Its copies may come when all is late.
      if (key?.cell === undefined && isInvite(octets)) this.#keep(this.#callOf(arrival), true, now);
      return "take";
    }
    // No 503: whoever has a call would end it, or take it to have ended.
    if (kind === "strays" || kind === "goesOn") {
      if (this.#mayGoOn(arrival, kind, noise !== undefined, now)) return "take";
      // It counts as what its source asks for: of all that is cut off, most is here, and not what others begin.
      this.#asked(arrival, now);
      return "drop";
    }
    if (kind === "registers" && arrival.isKnown()) return "take";
    const call = this.#callOf(arrival);
    const before = call === 0 ? undefined : this.#decisions.of(call, now);
    if (before === true) {
      // Nobody has more than its share by saying all of it twice.
      this.#asked(arrival, now);
      noise?.asked(arrival.payer(), arrival.isProved(), now);
      return "take";
    }
    const refusal = this.#shedding.isOn ? "refuse" : "noise";
    if (before === false) return arrival.isRepeatable() ? "drop" : refusal;
    const isTaken = this.#decide(arrival, kind, noise, call, now);
    if (isTaken) {
      this.#strays.taken(arrival.source(), now);
      this.#tokens.taken(arrival.source(), now);
    }
    this.#keep(call, isTaken, now);
    return isTaken ? "take" : refusal;
  }

  /** What a decision goes by: 0 for what has no Call-ID, of which there are no copies. */
  #callOf(arrival: Arrival): number {
    return callHashOf(arrival.octets, seedOf(this.#secret, arrival.source()));
  }

  #keep(call: number, isTaken: boolean, now: SteadyMs): void {
    if (call !== 0) this.#decisions.keep(call, isTaken, now);
  }

  #decide(arrival: Arrival, kind: Kind, noise: NoisySources | undefined, call: number, now: SteadyMs): boolean {
    if (arrival.isTrusted() || (kind === "emergency" && this.#hasRoomForEmergency(now))) return true;
    if (!this.#isWelcome(arrival, kind, noise, call, now)) return false;
    // Phones whose access or cell has died come back all at once, on other flows. They are to be back in a moment, and are not told to wait.
    if (kind === "registers" && this.#shedding.onForMs(now) < shedRegistersMs) return true;
    return this.#isDrawn(this.#asked(arrival, now), call);
  }

  /** False: its source asks for much, and gets nothing. */
  #isWelcome(arrival: Arrival, kind: Kind, noise: NoisySources | undefined, call: number, now: SteadyMs): boolean {
    if (noise === undefined || arrival.isTrusted()) return true;
    const isWelcome = this.#isDrawn(noise.asked(arrival.payer(), arrival.isProved(), now, kind === "registers"), call);
    if (!isWelcome) noise.refused(arrival.source(), now);
    return isWelcome;
  }

  /** Another number each time: a Call-ID that was taken once is not the one to take again. */
  #isDrawn(probability: number, call: number): boolean {
    if (probability === 1) return true;
    this.#decided += 1;
    return spread(call ^ this.#secret ^ Math.imul(this.#decided, 0x9e3779b1)) / 2 ** 32 < probability;
  }

  #asked(arrival: Arrival, now: SteadyMs): number {
    return this.#shares.asked(arrival.payer(), this.#shedding.share, now, this.#shedding.isOn && arrival.isProved());
  }

  /** Tokens are not verified here, and anybody can write what looks like one. Whoever has proved nothing has a bound for these as well, others a far wider one. */
  #mayGoOn(arrival: Arrival, kind: "goesOn" | "strays", isNoisy: boolean, now: SteadyMs): boolean {
    // Others' requests are no reason to drop what seems to be of a call, as long as nothing is late.
    if (!(this.#shedding.isOn || (isNoisy && kind === "strays")) || arrival.isTrusted()) return true;
    if (arrival.isProved()) return this.#ofProved.mayPass(arrival.payer(), now);
    return (kind === "strays" ? this.#strays : this.#tokens).mayPass(arrival.source(), now);
  }

  /** Who floods with these is nobody in an emergency. */
  #hasRoomForEmergency(now: SteadyMs): boolean {
    if (now - this.#emergenciesSince >= 1_000) {
      this.#emergenciesSince = now;
      this.#emergencies = 0;
    }
    this.#emergencies += 1;
    return this.#emergencies <= emergenciesPerSecondMax;
  }
}

/** All calls of a trunk may end at once. */
const secondsOfProvedAtFirst = 5;
