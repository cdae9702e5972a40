import { nameTakenSaidMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Finds gateways that have the same name: each takes the other's sockets away, and phones of both are called at the wrong one. A gateway that is
 * started anew has another boot, and the one before never comes back; when it does, both live.
 */
export class GatewayNames {
  /** By name: the present boot, and the one before. */
  readonly #boots = new Map<string, { readonly now: string; readonly before: string }>();
  readonly #saidAt = new Map<string, SteadyMs>();

  /** A gateway has said hello. Returns what is to be said, if anything: once in a while. */
  hello(name: string, boot: string, now: SteadyMs): string | undefined {
    const known = this.#boots.get(name);
    if (known?.now === boot) return undefined;
    this.#boots.set(name, { now: boot, before: known?.now ?? "" });
    if (known?.before !== boot || now - (this.#saidAt.get(name) ?? Number.NEGATIVE_INFINITY) < nameTakenSaidMs) return undefined;
    this.#saidAt.set(name, now);
    return `two gateways call themselves ${name}, and take each other's connections away: give one another name`;
  }
}
