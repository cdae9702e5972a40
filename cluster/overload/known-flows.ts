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
 */
export class KnownFlows {
  readonly #granted = new Lately();
  readonly #talking = new Lately();
  /** Flows that have asked, and are not known: answers are read of these only. */
  #asking = new Set<string>();

  has(flowKey: string): boolean {
    return this.#granted.has(flowKey);
  }

  /** Its phone has registered, or its source has had a call. */
  isProved(flowKey: string): boolean {
    return this.#granted.has(flowKey) || this.#talking.has(sourceOfFlow(flowKey));
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
    const source = sourceOfFlow(flowKey);
    if (!this.#talking.isFresh(source) && (isCall || isAnsweredCall(octets))) this.#talking.add(source, now);
  }
}
