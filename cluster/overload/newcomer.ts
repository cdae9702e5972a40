import { transportOfFlowKey } from "../../sip/flow/flow.ts";
import { sourceOfFlow } from "../../sip/flow/source.ts";
import type { RoutingKey } from "../map/routing-key.ts";
import type { Arrival } from "./entrance.ts";
import type { KnownFlows } from "./known-flows.ts";

/** A message on its way in. What an entrance asks of it is read when it asks. */
export class Newcomer implements Arrival {
  readonly octets: Uint8Array;
  readonly key: RoutingKey | undefined;
  readonly #flowKey: string;
  readonly #knownFlows: KnownFlows;
  readonly #trusted: ReadonlySet<string>;

  constructor(octets: Uint8Array, key: RoutingKey | undefined, flowKey: string, knownFlows: KnownFlows, trusted: ReadonlySet<string>) {
    this.octets = octets;
    this.key = key;
    this.#flowKey = flowKey;
    this.#knownFlows = knownFlows;
    this.#trusted = trusted;
  }

  source(): string {
    return sourceOfFlow(this.#flowKey);
  }

  payer(): string {
    return this.#knownFlows.payerOf(this.#flowKey);
  }

  isKnown(): boolean {
    return this.#knownFlows.has(this.#flowKey);
  }

  isProved(): boolean {
    return this.#knownFlows.isProved(this.#flowKey);
  }

  isRepeatable(): boolean {
    return transportOfFlowKey(this.#flowKey) === "UDP";
  }

  isTrusted(): boolean {
    return this.#trusted.size > 0 && this.#trusted.has(this.source());
  }
}
