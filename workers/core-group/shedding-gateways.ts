import { overloadKnownMs } from "../../cluster/limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Which gateways refuse new requests because what they have taken is late, as they say themselves with each of their beats. One that says nothing any more
 * is forgotten.
 */
export class SheddingGateways {
  readonly #byGateway = new Map<string, { readonly share: number; readonly at: SteadyMs }>();

  /** `share`: of new requests, those that are refused, from 0 to 1. 0: none is any more. */
  said(gateway: string, share: number, now: SteadyMs): void {
    if (share > 0) this.#byGateway.set(gateway, { share: Math.min(1, share), at: now });
    else this.#byGateway.delete(gateway);
  }

  /** Shares by gateway. */
  shares(now: SteadyMs): Readonly<Record<string, number>> {
    for (const [gateway, { at }] of this.#byGateway) if (now - at > overloadKnownMs) this.#byGateway.delete(gateway);
    return Object.fromEntries([...this.#byGateway].map(([gateway, { share }]) => [gateway, share]));
  }
}
