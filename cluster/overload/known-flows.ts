import { knownFlowsMax } from "../limits.ts";
import { isInvite, isRegister } from "./kinds.ts";
import { Lately } from "./lately.ts";
import { isAnsweredCall, isGrant, isSuccess } from "../../sip/flow/grant.ts";
import { sourceOfFlow } from "../../sip/flow/source.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Flows on which a REGISTER was answered with 2xx lately: another one there is a refresh. Who holds no state about phones can tell it in no other way.
 * CSeq says nothing, for a phone that starts may begin with any number. Credentials say nothing, for anybody can write some.
 *
 * And sources that an INVITE or the 2xx to one went to: they have calls. Not the flow counts here, for calls of one trunk come and go on many connections.
 * Flows of calls are known too: anybody can write another's address, and what is proved for itself does not pay for that.
 */
export class KnownFlows {
  readonly #granted = new Lately();
  readonly #talking = new Lately();
  readonly #calling = new Lately();
  /** Flows that have asked, and are not known: answers are read of these only. */
  #asking = new Set<string>();

  has(flowKey: string): boolean {
    return this.#granted.has(flowKey);
  }

  /** Its phone has registered, or its source has had a call. */
  isProved(flowKey: string): boolean {
    return this.#granted.has(flowKey) || this.#talking.has(sourceOfFlow(flowKey));
  }

  /** Who pays for what comes on this flow: its source, or what is proved of that source by flows, which has an account of its own. */
  payerOf(flowKey: string): string {
    const source = sourceOfFlow(flowKey);
    return this.#granted.has(flowKey) || this.#calling.has(flowKey) ? `${source}${provedEnd}` : source;
  }

  /** A message came on this flow. */
  came(flowKey: string, octets: Uint8Array): void {
    if (!isRegister(octets) || this.#granted.isFresh(flowKey)) return;
    // Those that are forgotten ask again with their next refresh.
    if (this.#asking.size >= knownFlowsMax) this.#asking.clear();
    this.#asking.add(flowKey);
  }

  /** A message leaves on this flow. */
  sent(flowKey: string, octets: Uint8Array, now: SteadyMs): void {
    if (this.#asking.has(flowKey) && isGrant(octets)) {
      this.#asking.delete(flowKey);
      this.#granted.add(flowKey, now);
      return;
    }
    const isCall = isInvite(octets);
    // Most that leaves for registered phones are the answers to their REGISTERs: these are not read.
    if (!isCall && (!isSuccess(octets) || this.#granted.isFresh(flowKey))) return;
    if (this.#calling.isFresh(flowKey) || !(isCall || isAnsweredCall(octets))) return;
    this.#calling.add(flowKey, now);
    const source = sourceOfFlow(flowKey);
    if (!this.#talking.isFresh(source)) this.#talking.add(source, now);
  }
}

/** The source of a payer. */
export function sourceOfPayer(payer: string): string {
  return payer.endsWith(provedEnd) ? payer.slice(0, -provedEnd.length) : payer;
}

/** In no address. */
const provedEnd = "!";
