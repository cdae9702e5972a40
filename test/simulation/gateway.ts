import type { BackhaulLink } from "../../actors/gateway/backhaul-link.ts";
import type { CellConnection, CellConnectionEvents, CellTarget, Loss } from "../../actors/gateway/cell-link.ts";
import type { PhoneConnection } from "../../actors/gateway/dispatcher.ts";
import { GatewayActor, type GatewayPorts } from "../../actors/gateway/gateway-actor.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { newCounters } from "../../gateway/counters.ts";
import { isParseError } from "../../sip/errors.ts";
import { parseFlowKey, serializeFlowKey, transportOfFlowKey, type Listener } from "../../sip/flow/flow.ts";
import { parseMessage } from "../../sip/message/sip-message.ts";
import type { Cluster } from "./cluster.ts";
import { timersOf } from "./host-timer.ts";
import { Host, type Clock } from "./host.ts";
import type { End, EndHandlers } from "./network.ts";
import { cSeqOf } from "../../kit/phone/reading.ts";

/** Who takes datagrams for an address. */
export type Datagrams = { host(): Host | undefined; receive(octets: Uint8Array, from: string): void };

/** A phone's connection. */
type Connection = PhoneConnection & { readonly end: End };

/** A gateway in its simulated process: phones on one side, connections to cells on the other. */
export class Gateway {
  readonly cluster: Cluster;
  readonly host: Host;
  readonly address: string;
  #boot = "";
  #actor: GatewayActor | undefined;
  #connections = new Map<string, Connection>();
  #count = 0;

  constructor(cluster: Cluster, name: string, address: string, clock: Clock) {
    this.cluster = cluster;
    this.address = address;
    this.host = new Host(cluster.world, name, clock);
    this.host.version = 0;
  }

  /** Octets on their way to exchanges. */
  get octetsHeld(): number {
    return this.#actor?.octetsHeld ?? 0;
  }

  start(): void {
    this.host.start(() => {
      const { map, random } = this.cluster;
      this.#boot = random.id().slice(0, 8);
      this.#connections = new Map();
      const listeners: Listener[] = [
        { transport: "UDP", host: this.address, port: 5060 },
        { transport: "TCP", host: this.address, port: 5060 },
        { transport: "WSS", host: this.address, port: 443 },
      ];
      const counters = newCounters();
      this.#actor = new GatewayActor({ name: this.host.name, boot: this.#boot, listeners, cells: map.cells, counters }, this.#ports());
    });
  }

  /** A datagram from a phone. */
  datagram(address: string, port: number, octets: Uint8Array): void {
    const key = serializeFlowKey({ transport: "UDP", listener: 0, connection: "", address, port });
    this.#actor?.receive(key, octets, undefined);
  }

  /** A phone's connection. */
  accept(transport: "TCP" | "WSS", address: string, port: number, end: End): EndHandlers {
    this.#count += 1;
    const name = `${this.#boot}${this.#count.toString(36)}`;
    const key = serializeFlowKey({ transport, listener: transport === "TCP" ? 1 : 2, connection: name, address, port });
    const links = new Set<BackhaulLink>();
    const connection: Connection = { key, end, links, usedBy: (link) => void links.add(link) };
    this.#connections.set(key, connection);
    return {
      message: (data) => (data === "ping" ? end.send("pong") : this.#actor?.receive(key, data as Uint8Array, connection)),
      closed: () => {
        this.#connections.delete(key);
        this.#actor?.closed(connection);
      },
    };
  }

  #ports(): GatewayPorts {
    const { host } = this;
    return {
      now: () => host.steady,
      wallAt: (moment) => host.wall - (host.steady - moment),
      timer: timersOf(host),
      afterThisTurn: (run) => host.soon(run),
      random: () => this.cluster.random.real(),
      connect: (target, events) => this.#connect(target, events),
      log: (event, details = {}) => this.#log(event, details),
      send: (flowKey, octets, link) => this.#send(flowKey, octets, link),
      close: (flowKey) => this.#connections.get(flowKey)?.end.close(),
      resolve: (uri, found) => found(flowKeysOf(uri)),
      isClusterMap: (value): value is ClusterMap => value !== undefined,
      looked: () => undefined,
      inputDelayMs: () => 0,
      setUrgent: () => undefined,
    };
  }

  #connect({ cell, exchange }: CellTarget, events: CellConnectionEvents): CellConnection {
    const there = this.cluster.cell(cell);
    const { name } = this.host;
    let end: End | undefined;
    let isOver = false;
    this.cluster.network.connect(
      this.host,
      there.host,
      (far) => (exchange === "control" ? there.group.accept(name, far) : there.acceptBackhaul(exchange, name, far)),
      (near) => {
        end = near;
        if (isOver) near.reset();
        else events.opened();
        return {
          message: (data) => {
            if (isOver) return;
            if (typeof data === "string") events.text(data);
            else events.binary(data as Uint8Array);
          },
          closed: () => (isOver ? undefined : events.lost("closed", "closed socket")),
        };
      },
      (reason) => (isOver ? undefined : events.lost(reason, lossOf(reason))),
    );
    return {
      send: (data) => end?.send(data),
      close: () => {
        isOver = true;
        end?.close();
      },
      cut: () => {
        isOver = true;
        end?.reset();
      },
    };
  }

  #log(event: string, details: Readonly<Record<string, string | number>>): void {
    this.host.trace(() => `${event} ${JSON.stringify(details)}`);
    const { reason } = details;
    if (typeof reason === "string" && reason.startsWith("a frame that is none")) this.host.threw(new Error(reason));
  }

  #send(flowKey: string, octets: Uint8Array, link: BackhaulLink | undefined): void {
    if (transportOfFlowKey(flowKey) === "UDP") {
      const target = parseFlowKey(flowKey);
      if (target !== undefined) this.#sendDatagram(target.address, target.port, octets);
      return;
    }
    const connection = this.#connections.get(flowKey);
    if (connection?.end.isOpen !== true) {
      link?.undeliverable(flowKey, octets);
      return;
    }
    if (link !== undefined) connection.usedBy(link);
    connection.end.send(octets);
  }

  #sendDatagram(address: string, port: number, octets: Uint8Array): void {
    const phone = this.cluster.datagrams.get(`${address}:${port}`);
    if (phone === undefined) return;
    this.#countRefusal(octets);
    this.cluster.network.datagram(
      this.host,
      () => phone.host(),
      () => phone.receive(octets, this.address),
    );
  }

  #countRefusal(octets: Uint8Array): void {
    const message = startsRefusal(octets) ? parseMessage(octets) : undefined;
    if (message === undefined || isParseError(message) || cSeqOf(message).method !== "INVITE") return;
    const { refusalsSent } = this.cluster;
    refusalsSent.set(message.callId, (refusalsSent.get(message.callId) ?? 0) + 1);
  }
}

/** `SIP/2.0 3xx` to `6xx`; no request of a phone has a digit there. */
function startsRefusal(octets: Uint8Array): boolean {
  const digit = octets[8] ?? 0;
  return digit >= 0x33 && digit <= 0x36;
}

/** Why a connection could not be made. */
function lossOf(reason: string): Loss {
  if (reason === "another version") return reason;
  return reason === "refused" ? "connection refused" : "missed heartbeats";
}

/** There are no names to look up here, but addresses of phones that are reached by datagrams. */
function flowKeysOf(uri: string): string[] {
  const [, address, port] = /(?:^sip:|@)(\d+\.\d+\.\d+\.\d+):(\d+)$/.exec(uri) ?? [];
  if (address === undefined) return [];
  return [serializeFlowKey({ transport: "UDP", listener: 0, connection: "", address, port: Number(port) })];
}
