import { straysPerRequest, straysPerSecond, shedSourcesMax } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

type Account = { left: number; at: SteadyMs };

/**
 * ACK, CANCEL, BYE and PRACK without a token of ours. Each belongs to a request that was taken, and few come for each. Whoever sends thousands of them belongs
 * to nothing: while all is late a source has so many for each request of its that was taken, and some each second besides.
 */
export class Strays {
  readonly #accounts = new Map<string, Account>();

  /** A request of this source was taken. */
  taken(source: string, now: SteadyMs): void {
    const account = this.#accountOf(source, now);
    account.left = Math.min(straysMax, account.left + straysPerRequest);
  }

  /** One comes. False: it is one too many. */
  mayPass(source: string, now: SteadyMs): boolean {
    const account = this.#accountOf(source, now);
    if (account.left < 1) return false;
    account.left -= 1;
    return true;
  }

  #accountOf(source: string, now: SteadyMs): Account {
    const known = this.#accounts.get(source);
    if (known !== undefined) {
      known.left = Math.min(straysMax, known.left + ((now - known.at) / 1_000) * straysPerSecond);
      known.at = now;
      return known;
    }
    // A flood from invented addresses must not fill the memory; forgetting is harmless against it.
    if (this.#accounts.size >= shedSourcesMax) this.#accounts.clear();
    const account = { left: straysAtFirst, at: now };
    this.#accounts.set(source, account);
    return account;
  }
}

/** The calls of a second or two before may end now. */
const straysAtFirst = 10 * straysPerSecond;
const straysMax = 10 * straysAtFirst;
