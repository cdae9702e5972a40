import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { gatewayNameFault } from "../../cluster/map/domains.ts";
import type { Listener } from "../../sip/flow/flow.ts";
import { nameTakenSaidMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Finds gateways with names that they may not have: the SIP domain's, or another gateway's. Of two that have the same one each takes the other's sockets away,
 * and phones of both are called at the wrong one. A gateway that is started anew has another boot, and the one before never comes back; when it does, both live.
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
    if (known?.before !== boot) return undefined;
    return this.#once(name, `two gateways call themselves ${name}, and take each other's connections away: give one another name`, now);
  }

  /** It has said where phones find it. What is to be said of that: one of this release that starts ends by itself, and others go on. */
  listens(name: string, listeners: readonly Listener[], map: ClusterMap, now: SteadyMs): string | undefined {
    const fault = gatewayNameFault(map, listeners);
    return fault === undefined ? undefined : this.#once(`where ${name} is`, `gateway ${name}: ${fault}`, now);
  }

  #once(what: string, text: string, now: SteadyMs): string | undefined {
    if (now - (this.#saidAt.get(what) ?? Number.NEGATIVE_INFINITY) < nameTakenSaidMs) return undefined;
    this.#saidAt.set(what, now);
    return text;
  }
}
