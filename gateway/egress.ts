import { parseFlowKey, transportOfFlowKey } from "../sip/transport/flow.ts";
import { RecordKind } from "../sip/transport/frame.ts";
import type { Connections } from "./connections.ts";
import type { Counters } from "./counters.ts";
import { flowsRememberedMax } from "./limits.ts";
import type { TrunkLink } from "./trunk-link.ts";
import type { UdpListener } from "./udp-listener.ts";

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
  send(flowKey: string, octets: Uint8Array, link: TrunkLink | undefined): void {
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
        this.#connections.send(flowKey, octets, link, failed);
        break;
      case "WS":
      case "WSS":
      case undefined:
        failed();
    }
  }

  #sendToNew(flowKey: string, octets: Uint8Array, failed: () => void): void {
    const key = parseFlowKey(flowKey);
    const listener = key === undefined ? undefined : this.#udp.get(key.listener);
    if (key === undefined || listener === undefined) {
      failed();
      return;
    }
    if (this.#targets.size >= flowsRememberedMax) this.#targets = new Map();
    this.#targets.set(flowKey, { listener, address: key.address, port: key.port });
    listener.send(octets, key.address, key.port, failed);
  }

  #undeliverable(flowKey: string, octets: Uint8Array, link: TrunkLink | undefined): void {
    this.#counters.undeliverable += 1;
    link?.offer({ kind: RecordKind.undeliverable, key: flowKey, octets }, Date.now());
  }
}
