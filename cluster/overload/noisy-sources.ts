import {
  noisyAtOnce,
  noisyCreditMax,
  noisyCreditOfProved,
  noisyCreditPerAnswer,
  noisyKnownMs,
  noisyPerSecond,
  noisyPerSourceMin,
  noisyRegistersAtOnce,
  noisyRegistersPerSecond,
  noisySourcesMax,
  shedSourcesMax,
} from "../limits.ts";
import { isGoodAnswer } from "../../sip/flow/grant.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { TwoGenerations } from "../../sip/two-generations.ts";
import { FairShares } from "./fair-shares.ts";
import type { Kind } from "./kinds.ts";
import { sourceOfPayer } from "./known-flows.ts";

/** What has been refused since it began: of how many sources, and of the one of which most was. */
export type Noise = { readonly refused: number; readonly sources: number; readonly source: string; readonly ofSource: number };

/** It began, a moment ago; or nothing was refused for a while. */
export type NoiseNews = (news: "began" | "ended", noise: Noise) => void;

/** What a source may still ask for as it likes. */
type Account = { left: number; isProved: boolean };

/**
 * Sources that ask for much and get nothing: a flood of INVITEs to a phone that is silent, of wrong passwords, of names that nobody has. Each of their
 * requests is work, and all others wait for it, long before anything is late. So whoever asks for more than a few has to have got something: a phone that
 * rang, a 2xx to an INVITE, a REGISTER or a MESSAGE. It may ask for some more with each. What is asked beyond that is bounded, for all such sources together, and
 * fair among them. Who asks for little is never refused here.
 *
 * Nothing is counted for a source while all together ask for less than the bound.
 */
export class NoisySources {
  readonly #accounts = new TwoGenerations<string, Account>(noisyKnownMs, noisySourcesMax);
  readonly #shares = new FairShares(noisyPerSourceMin);
  /** Requests of this second and of the one before, and those of them that nothing speaks for. */
  #since: SteadyMs = 0;
  #all = 0;
  #allBefore = 0;
  #unpaid = 0;
  #unpaidBefore = 0;
  /** Refused since it began, by source; empty: nothing was, for a while. */
  readonly #refused = new Map<string, number>();
  #refusedAt: SteadyMs = 0;
  #isTold = false;
  readonly #news: NoiseNews;
  readonly #spare = new Spare(noisyAtOnce, noisyPerSecond);
  readonly #spareRegisters = new Spare(noisyRegistersAtOnce, noisyRegistersPerSecond);

  constructor(news: NoiseNews = () => undefined) {
    this.#news = news;
  }

  /** So much is asked for that sources are told apart. */
  get isOn(): boolean {
    return this.#all > noisyPerSecond || this.#allBefore > noisyPerSecond;
  }

  /** A message came. True: sources are told apart. What seems to belong to a call counts little: a call has five of these. */
  came(kind: Kind, now: SteadyMs): boolean {
    const passed = now - this.#since;
    if (passed >= windowMs) {
      const isNext = passed < 2 * windowMs;
      this.#allBefore = isNext ? this.#all : 0;
      this.#unpaidBefore = isNext ? this.#unpaid : 0;
      [this.#all, this.#unpaid, this.#since] = [0, 0, now];
    }
    this.#all += kind === "goesOn" ? 0.1 : 1;
    return this.isOn;
  }

  /** A source asks while {@link isOn}, and so it, or what is proved of it, pays. With which probability it may. */
  asked(payer: string, isProved: boolean, now: SteadyMs, isRegister = false): number {
    const account = this.#accountOf(payer, isProved, now);
    if (account.left >= 1) {
      account.left -= 1;
      return 1;
    }
    this.#unpaid += 1;
    const passed = now - this.#since;
    const known = this.#unpaid + this.#unpaidBefore * (1 - Math.min(1, passed / windowMs));
    // A flood that has just begun will be as much in a second as it is now.
    const rate = Math.max(known, (this.#unpaid * windowMs) / Math.max(passed, soonMs));
    const share = rate <= noisyPerSecond ? 0 : 1 - noisyPerSecond / rate;
    const probability = this.#shares.asked(payer, share, now, sourceOfPayer(payer) !== payer);
    if (this.#spare.take(now)) return 1;
    return probability < 1 && isRegister && this.#spareRegisters.take(now) ? 1 : probability;
  }

  /** It was not taken. */
  refused(source: string, now: SteadyMs): void {
    const name = this.#refused.size < shedSourcesMax || this.#refused.has(source) ? source : others;
    this.#refused.set(name, (this.#refused.get(name) ?? 0) + 1);
    this.#refusedAt = now;
  }

  /** Sources that were cut since it began; 0: there is no noise. */
  get sources(): number {
    return this.#refused.size;
  }

  /** Tells news, if there are any. Call it once a second, also while nothing comes: a noise is over when nobody says anything. */
  look(now: SteadyMs): void {
    if (this.#refused.size === 0) return;
    if (!this.#isTold) this.#news("began", this.#noiseSoFar());
    this.#isTold = true;
    if (now - this.#refusedAt < quietMs) return;
    this.#news("ended", this.#noiseSoFar());
    this.#isTold = false;
    this.#refused.clear();
  }

  /** A message leaves, while {@link isOn}, for whoever pays for what comes from there. */
  sent(payer: string, octets: Uint8Array, now: SteadyMs): void {
    const account = this.#accounts.get(payer);
    if (account === undefined || account.left > noisyCreditMax || !isGoodAnswer(octets)) return;
    account.left += noisyCreditPerAnswer;
    this.#accounts.set(payer, account, now);
  }

  #accountOf(payer: string, isProved: boolean, now: SteadyMs): Account {
    const known = this.#accounts.get(payer);
    if (known !== undefined) {
      // Whoever was heard first under its name may have been another.
      if (isProved && !known.isProved) [known.left, known.isProved] = [known.left + noisyCreditOfProved, true];
      return known;
    }
    const account = { left: isProved ? noisyCreditOfProved : 0, isProved };
    this.#accounts.set(payer, account, now);
    return account;
  }

  #noiseSoFar(): Noise {
    let [refused, source, ofSource] = [0, "", 0];
    for (const [name, count] of this.#refused) {
      refused += count;
      if (count > ofSource && name !== others) [source, ofSource] = [name, count];
    }
    return { refused, sources: this.#refused.size, source, ofSource };
  }
}

/** What may come over the bound: all at once after a quiet time, which is no flood yet. */
class Spare {
  readonly #most: number;
  readonly #perSecond: number;
  #left: number;
  #at: SteadyMs = 0;

  constructor(most: number, perSecond: number) {
    this.#most = most;
    this.#perSecond = perSecond;
    this.#left = most;
  }

  take(now: SteadyMs): boolean {
    this.#left = Math.min(this.#most, this.#left + ((now - this.#at) * this.#perSecond) / 1_000) - 1;
    this.#at = now;
    if (this.#left >= 0) return true;
    this.#left = Math.max(this.#left, -1);
    return false;
  }
}

/** More sources than are counted apart count as one. */
const others = "";
const windowMs = 1_000;
/** What has lasted for less tells no rate. */
const soonMs = 100;
/** A flood that pauses for less than this is one, with one line in the log when it begins and one when it is over. */
const quietMs = 10_000;
