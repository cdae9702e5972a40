import { knownFlowsMax, knownFlowsMs } from "../limits.ts";
import { isRegister } from "./kinds.ts";
import { isGrant } from "../../sip/flow/grant.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Flows on which a REGISTER was answered with 2xx lately: another one there is a refresh. Who holds no state about phones can tell it in no other way.
 * CSeq says nothing, for a phone that starts may begin with any number. Credentials say nothing, for anybody can write some.
 */
export class KnownFlows {
  #now = new Set<string>();
  #before: ReadonlySet<string> = new Set();
  #turnedAt: SteadyMs = 0;
  /** Flows that have asked, and are not known: answers are read of these only. */
  #asking = new Set<string>();

  has(flowKey: string): boolean {
    return this.#now.has(flowKey) || this.#before.has(flowKey);
  }

  /** A message came on this flow. */
  came(flowKey: string, octets: Uint8Array): void {
    if (!isRegister(octets) || this.#now.has(flowKey)) return;
    // Those that are forgotten ask again with their next refresh.
    if (this.#asking.size >= knownFlowsMax) this.#asking.clear();
    this.#asking.add(flowKey);
  }

  /** A message leaves on this flow. */
  sent(flowKey: string, octets: Uint8Array, now: SteadyMs): void {
    if (!this.#asking.has(flowKey) || !isGrant(octets)) return;
    this.#asking.delete(flowKey);
    if (now - this.#turnedAt >= knownFlowsMs || this.#now.size >= knownFlowsMax) {
      this.#before = now - this.#turnedAt < 2 * knownFlowsMs ? this.#now : new Set();
      this.#now = new Set();
      this.#turnedAt = now;
    }
    this.#now.add(flowKey);
  }
}
