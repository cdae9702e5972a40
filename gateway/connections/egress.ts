import { isIPv6 } from "node:net";
import { type FlowKey, parseFlowKey, transportOfFlowKey } from "../../sip/flow/flow.ts";
import type { Connections } from "./connections.ts";
import type { Counters } from "../counters.ts";
import { flowsRememberedMax } from "../limits.ts";
import type { BackhaulLink } from "../../actors/gateway/backhaul-link.ts";
import type { UdpListener } from "../listen/udp-listener.ts";

type UdpTarget = { readonly listener: UdpListener; readonly address: string; readonly port: number };

/** Writes messages to flows. What cannot be delivered goes back to the exchange that sent it. */
export class Egress {
  readonly #udp: ReadonlyMap<number, UdpListener>;
  readonly #connections: Connections;
  readonly #counters: Counters;
  /** UDP targets by flow key: a cache, as keys say everything themselves. */
  #targets = new Map<string, UdpTarget>();

  constructor(udp: ReadonlyMap<number, UdpListener>, connections: Connections, counters: Counters) {
    this.#udp = udp;
    this.#connections = connections;
    this.#counters = counters;
  }

  /** Sends one message to a flow. `link` is told if that is not possible; undefined for our own answers, which nobody waits for. */
  send(flowKey: string, octets: Uint8Array, link: BackhaulLink | undefined): void {
    this.#counters.messagesOut += 1;
    const failed = (): void => this.#undeliverable(flowKey, octets, link);
    const target = this.#targets.get(flowKey);
    if (target !== undefined) {
      target.listener.send(octets, target.address, target.port, failed);
      return;
    }
    switch (transportOfFlowKey(flowKey)) {
      case "UDP":
        this.#sendToNew(flowKey, octets, failed);
        break;
      case "TCP":
      case "TLS":
      case "WS":
      case "WSS":
        this.#connections.send(flowKey, octets, link, failed);
        break;
      case undefined:
        failed();
    }
  }

  #sendToNew(flowKey: string, octets: Uint8Array, failed: () => void): void {
    const key = parseFlowKey(flowKey);
    const listener = key === undefined ? undefined : this.#listenerFor(key);
    if (key === undefined || listener === undefined) {
      failed();
      return;
    }
    if (this.#targets.size >= flowsRememberedMax) this.#targets = new Map();
    this.#targets.set(flowKey, { listener, address: key.address, port: key.port });
    listener.send(octets, key.address, key.port, failed);
  }

  /**
   * The listener that the key names. A key of another gateway may name one that is not here, or is something else here. Then it is any that reaches
   * such an address, for a phone whose gateway died.
   */
  #listenerFor(key: FlowKey): UdpListener | undefined {
    const isIpv6Flow = isIPv6(key.address);
    const named = this.#udp.get(key.listener);
    if (named?.isIpv6 === isIpv6Flow) return named;
    for (const listener of this.#udp.values()) if (listener.isIpv6 === isIpv6Flow) return listener;
    return undefined;
  }

  #undeliverable(flowKey: string, octets: Uint8Array, link: BackhaulLink | undefined): void {
    this.#counters.undeliverable += 1;
    link?.undeliverable(flowKey, octets);
  }
}
