import { callOctets } from "../limits.ts";
import type { StateRecord } from "./state-record.ts";
import type { Call } from "./values.ts";

/**
 * What the records of calls take that wait for the collector: in all, and those of calls that strangers began. It is a function of the records alone, so
 * both replicas count the same.
 */
export class CallShares {
  #octets = 0;
  #ofStrangers = 0;
  #octetsOfStrangers = 0;

  /** Octets in memory. */
  get octets(): number {
    return this.#octets;
  }

  /** How many strangers' there are. */
  get ofStrangers(): number {
    return this.#ofStrangers;
  }

  get octetsOfStrangers(): number {
    return this.#octetsOfStrangers;
  }

  /** A record has come, or is forgotten. */
  count({ key, value }: StateRecord<"call">, by: 1 | -1): void {
    if (value === undefined) return;
    const octets = by * octetsOf(key, value);
    this.#octets += octets;
    if (value.isStrangers !== true) return;
    this.#ofStrangers += by;
    this.#octetsOfStrangers += octets;
  }
}

function octetsOf(key: string, { caller, callee, answeredBy, cells, gateways }: Call): number {
  let octets = callOctets + key.length + caller.length + callee.length + answeredBy.length;
  for (const cell of cells) octets += cell.length;
  for (const gateway of gateways) octets += gateway.length;
  return octets;
}
