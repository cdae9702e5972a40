import { isIPv6 } from "node:net";
import { type FlowKey, parseFlowKey, transportOfFlowKey } from "../../sip/flow/flow.ts";
import type { Connections } from "./connections.ts";
import type { Counters } from "../counters.ts";
import type { DroppingPlaces } from "./dropping-places.ts";
import { flowsRememberedMax } from "../limits.ts";
import { PacedDestination, Pacing } from "./pacing.ts";
import { steadyNow } from "../steady-now.ts";
import type { BackhaulLink } from "../../actors/gateway/backhaul-link.ts";
import type { UdpListener, UdpPlace } from "../listen/udp-listener.ts";
import { udpPlace } from "../listen/udp-place.ts";

/** An address and port, and the listener that reaches it. */
class UdpTarget extends PacedDestination<Datagram> {
  readonly listener: UdpListener;
  readonly place: UdpPlace;

  constructor(listener: UdpListener, place: UdpPlace) {
    super();
    this.listener = listener;
    this.place = place;
  }
}

type Datagram = { readonly target: UdpTarget; readonly octets: Uint8Array; readonly failed: () => void };

/** How long datagrams wait before it is looked whose turn it is: the shortest time of a timer. */
const lookMs = 1;

/** Writes messages to flows: connections, and datagrams at the pace that their destinations take. What cannot be delivered goes back to its exchange. */
export class Egress {
  readonly #udp: ReadonlyMap<number, UdpListener>;
  readonly #connections: Connections;
  readonly #counters: Counters;
  readonly #places: DroppingPlaces;
  /** UDP targets by flow key: a cache, as keys say everything themselves. */
  #targets = new Map<string, UdpTarget>();
  readonly #pacing = new Pacing<Datagram>();
  /** Undefined: nothing waits. */
  #timer: NodeJS.Timeout | undefined;

  constructor(udp: ReadonlyMap<number, UdpListener>, connections: Connections, counters: Counters, places: DroppingPlaces) {
    this.#udp = udp;
    this.#connections = connections;
    this.#counters = counters;
    this.#places = places;
  }

  /** Sends one message to a flow. `link` is told if that is not possible; undefined for our own answers, which nobody waits for. */
  send(flowKey: string, octets: Uint8Array, link: BackhaulLink | undefined): void {
    this.#counters.messagesOut += 1;
    const failed = (): void => this.#undeliverable(flowKey, octets, link);
    const target = this.#targets.get(flowKey);
    if (target !== undefined) {
      this.#sendTo(target, octets, failed);
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

  /** Sends what waits: the gateway stops. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sendAll(this.#pacing.takeAll());
  }

  #sendToNew(flowKey: string, octets: Uint8Array, failed: () => void): void {
    const key = parseFlowKey(flowKey);
    const listener = key === undefined ? undefined : this.#listenerFor(key);
    if (key === undefined || listener === undefined) {
      failed();
      return;
    }
    if (this.#targets.size >= flowsRememberedMax) this.#targets = new Map();
    const target = new UdpTarget(listener, udpPlace(key.address, key.port));
    this.#targets.set(flowKey, target);
    this.#sendTo(target, octets, failed);
  }

  #sendTo(target: UdpTarget, octets: Uint8Array, failed: () => void): void {
    switch (this.#pacing.offer(target, { target, octets, failed }, steadyNow())) {
      case "leaves":
        target.listener.send(octets, target.place, failed);
        break;
      case "waits":
        this.#counters.datagramsPaced += 1;
        this.#timer ??= setTimeout(this.#look, lookMs);
        break;
      case "dropped":
        this.#counters.datagramsDropped += 1;
        this.#places.dropped(target.place);
        break;
    }
  }

  readonly #look = (): void => {
    this.#sendAll(this.#pacing.due(steadyNow()));
    this.#timer = this.#pacing.isWaiting ? setTimeout(this.#look, lookMs) : undefined;
  };

  #sendAll(datagrams: readonly Datagram[]): void {
    for (const { target, octets, failed } of datagrams) target.listener.send(octets, target.place, failed);
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
