import { straysPerRequest, straysPerSecond, shedSourcesMax } from "../limits.ts";
import { groupOf } from "./source-groups.ts";
import type { SteadyMs } from "../../sip/time.ts";

type Account = { left: number; at: SteadyMs };

/**
 * ACK, CANCEL, BYE and PRACK without a token of ours. Each belongs to a request that was taken, and few come for each. Whoever sends thousands of them belongs
 * to nothing: while all is late a source has so many for each request of its that was taken, and some each second besides. What has a token that nobody has verified is counted by another
 * one of these, which lets more pass.
 */
export class Strays {
  readonly #accounts = new Map<string, Account>();
  /** How many times as many as usual. */
  readonly #factor: number;
  readonly #atFirst: number;
  readonly #isApart: boolean;

  /** `isApart`: sources are counted for themselves however many there are. `secondsAtFirst`: a source that is not known yet may send what it may in so many seconds, at once. */
  constructor(factor = 1, secondsAtFirst = 10, isApart = false) {
    this.#factor = factor;
    this.#isApart = isApart;
    this.#atFirst = secondsAtFirst * straysPerSecond * factor;
  }

  /** A request of this source was taken. */
  taken(source: string, now: SteadyMs): void {
    const account = this.#accountOf(source, now);
    account.left = Math.min(straysMax * this.#atFirst, account.left + straysPerRequest * this.#factor);
  }

  /** One comes. False: it is one too many. */
  mayPass(source: string, now: SteadyMs): boolean {
    const account = this.#accountOf(source, now);
    if (account.left < 1) return false;
    account.left -= 1;
    return true;
  }

  #accountOf(of: string, now: SteadyMs): Account {
    const source = this.#isApart || this.#accounts.size < shedSourcesMax || this.#accounts.has(of) ? of : groupOf(of);
    const known = this.#accounts.get(source);
    if (known !== undefined) {
      known.left = Math.min(straysMax * this.#atFirst, known.left + ((now - known.at) / 1_000) * straysPerSecond * this.#factor);
      known.at = now;
      return known;
    }
    // A flood from invented addresses must not fill the memory; forgetting is harmless against it.
    if (this.#accounts.size >= 2 * shedSourcesMax) this.#accounts.clear();
    const account = { left: this.#atFirst, at: now };
    this.#accounts.set(source, account);
    return account;
  }
}

/** The calls of a second or two before may end now. The most that may be had is so many times as much. */
const straysMax = 10;
