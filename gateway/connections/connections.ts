import { type Socket, connect, isIP, isIPv6 } from "node:net";
import { connect as connectTls } from "node:tls";
import type { WebSocket } from "ws";
import { type FlowKey, parseFlowKey, serializeFlowKey } from "../../sip/flow/flow.ts";
import { isWildcard } from "../config/address.ts";
import type { ListenerConfig, TlsConfig } from "../config/config.ts";
import type { Connection, ConnectionHandlers, ConnectionNames, Failed } from "./connection.ts";
import type { Counters } from "../counters.ts";
import type { Doorkeeper, Guest } from "./doorkeeper.ts";
import { isRegistered } from "../../sip/flow/grant.ts";
import { connectTimeoutMs, connectionIdleMs, partialMessageMs, tcpKeepAliveMs } from "../limits.ts";
import { StreamConnection } from "./stream-connection.ts";
import { checkSipIdentity } from "../listen/tls-identity.ts";
import { tlsVersions } from "../listen/tls-versions.ts";
import type { BackhaulLink } from "../../actors/gateway/backhaul-link.ts";
import { WebSocketConnection } from "./websocket-connection.ts";
import type { SteadyMs } from "../../sip/time.ts";
import { steadyNow } from "../steady-now.ts";

export type ConnectionsHandlers = {
  /** A message came on a connection. */
  message(connection: Connection, octets: Uint8Array): void;
  /** A connection is gone: the exchanges that it talked to must know (RFC 5626 5.3). */
  closed(connection: Connection): void;
};

export type ConnectionsOptions = {
  readonly listeners: readonly ListenerConfig[];
  readonly tls: TlsConfig | undefined;
  readonly doorkeeper: Doorkeeper;
  /** Letters and digits that no other start of this gateway uses. A flow key of an earlier start must never name a connection of this one. */
  readonly boot: string;
  readonly counters: Counters;
};

/**
 * The connections of this gateway by flow key. A phone is called on the connection it came on (RFC 5626). `t1..<address>` means any connection to
 * that address. It is opened over TCP and TLS when there is none (RFC 3261 18.1.1). WebSockets are opened by their phones only (RFC 7118 5).
 */
export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #handlers: ConnectionsHandlers;
  /** One for all connections. */
  readonly #heard: ConnectionHandlers;
  /** What those are opened with that are opened from here. */
  #tls: TlsConfig | undefined;
  readonly #byKey = new Map<string, Connection>();
  /** The connection to use for "any to that address": the latest one that may be. */
  readonly #byAnyKey = new Map<string, Connection>();
  #count = 0;
  #isStopped = false;
  /** Called when the last one has ended, after {@link stop}. */
  #lastEnded = (): void => {};

  constructor(options: ConnectionsOptions, handlers: ConnectionsHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#tls = options.tls;
    const { counters, doorkeeper } = options;
    this.#heard = {
      message: (connection, octets) => {
        if (connection.guest !== undefined) doorkeeper.spoke(connection.guest);
        handlers.message(connection, octets);
      },
      // It is no message: whoever has nothing to say must not keep a connection by it.
      keepAlive: () => {
        counters.keepAlives += 1;
      },
      junk: () => {
        counters.junk += 1;
      },
      closed: (connection, wasOpen) => this.#closed(connection, wasOpen),
    };
  }

  /** Certificate and authorities of those that are opened from now on. */
  renew(tls: TlsConfig): void {
    this.#tls = tls;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** Those of phones, and not those that were opened from here. */
  accepted(): Connection[] {
    return [...this.#byKey.values()].filter(({ guest }) => guest !== undefined);
  }

  /** Whether it is here still. */
  has({ key }: Connection): boolean {
    return this.#byKey.has(key);
  }

  /** Takes a connection that a listener accepted and the doorkeeper admitted. */
  accept(listener: number, socket: Socket): void {
    const place = this.#greet(listener, socket);
    if (place === undefined) return;
    const connection = this.#add((heard, now) => new StreamConnection(this.#namesOf(place), socket, true, heard, now));
    connection.guest = place.guest;
  }

  /** The same for a WebSocket, of which `socket` is the connection below. */
  acceptWebSocket(listener: number, webSocket: WebSocket, socket: Socket): void {
    const place = this.#greet(listener, socket);
    if (place === undefined) return;
    const names = { ...this.#namesOf(place), anyKey: undefined };
    const connection = this.#add((heard, now) => new WebSocketConnection(names, webSocket, socket, heard, now));
    connection.guest = place.guest;
  }

  /**
   * Sends a message on the connection that the key names, or for a key without a connection on any to that address. `failed` is called when
   * there is none and none can be made.
   */
  send(flowKey: string, octets: Uint8Array, link: BackhaulLink | undefined, failed: Failed): void {
    const connection = this.#byKey.get(flowKey) ?? this.#byAnyKey.get(flowKey) ?? this.#open(flowKey);
    if (connection === undefined) {
      failed();
      return;
    }
    if (link !== undefined) connection.usedBy(link);
    connection.send(octets, failed, steadyNow());
    const { guest } = connection;
    if (guest !== undefined && guest.stage !== "known" && isRegistered(octets)) this.#options.doorkeeper.proved(guest);
  }

  /** Closes a connection, if it is there. */
  close(flowKey: string): void {
    this.#byKey.get(flowKey)?.close("registrar");
  }

  /** Closes what is idle for too long or stuck in the middle of a message. To be called every few seconds. */
  sweep(now: SteadyMs): void {
    for (const connection of this.#byKey.values()) {
      const isStuck = connection.partialSince !== 0 && now - connection.partialSince > partialMessageMs;
      if (isStuck || now - connection.activeAt > connectionIdleMs) connection.close("useless");
    }
  }

  /** Closes everything, and takes nothing new. Resolves when all have ended, which takes a quarter of a second at most (goodbyeMs). */
  stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#byKey.size === 0) return Promise.resolve();
    const ended = new Promise<void>((resolve) => {
      this.#lastEnded = resolve;
    });
    for (const connection of this.#byKey.values()) connection.close("stopping");
    return ended;
  }

  /** Opens the connection that `t<listener>..<address>` asks for; undefined where that is not possible. */
  #open(flowKey: string): Connection | undefined {
    const key = parseFlowKey(flowKey);
    // A connection with a name that is not here is gone: nobody else's may be used in its place.
    if (key === undefined || key.connection !== "" || (key.transport !== "TCP" && key.transport !== "TLS")) return undefined;
    const config = this.#listenerFor(key);
    if (config === undefined || key.port === 0 || this.#isStopped || !this.#options.doorkeeper.mayOpen()) return undefined;
    const socket = key.transport === "TLS" ? this.#connectTls(key, config) : connect(connectOptions(key, config));
    this.#options.doorkeeper.opened(socket);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, tcpKeepAliveMs);
    this.#options.counters.connectionsOpened += 1;
    const connection = this.#add((heard, now) => new StreamConnection(this.#namesOf(key), socket, false, heard, now));
    const timer = setTimeout(() => socket.destroy(), connectTimeoutMs);
    socket.once(key.transport === "TLS" ? "secureConnect" : "connect", () => {
      clearTimeout(timer);
      connection.opened(steadyNow());
    });
    socket.once("close", () => clearTimeout(timer));
    return connection;
  }

  #connectTls(key: FlowKey, config: ListenerConfig): Socket {
    const tls = this.#tls;
    const name = key.serverName ?? key.address;
    return connectTls({
      ...connectOptions(key, config),
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...(tls === undefined ? {} : { cert: tls.cert, key: tls.key }),
      ...(tls?.ca === undefined ? {} : { ca: tls.ca }),
      ...tlsVersions,
      rejectUnauthorized: tls?.verify ?? true,
      checkServerIdentity: (_host, certificate) => checkSipIdentity(name, certificate),
    });
  }

  /** The listener whose address an outgoing connection leaves from: the one that is named if it fits, else the first that does. */
  #listenerFor(key: FlowKey): ListenerConfig | undefined {
    const fits = (config: ListenerConfig | undefined): boolean =>
      config?.transport === key.transport && isIPv6(config.host) === isIPv6(key.address);
    const named = this.#options.listeners[key.listener];
    return fits(named) ? named : this.#options.listeners.find(fits);
  }

  /** Where an accepted connection comes from; undefined: it was closed. */
  #greet(listener: number, socket: Socket): (FlowKey & { readonly guest: Guest }) | undefined {
    const { counters, doorkeeper, listeners } = this.#options;
    const config = listeners[listener];
    const guest = this.#isStopped ? undefined : doorkeeper.greeted(socket);
    // Gone before it was here.
    if (guest === undefined || config === undefined) {
      socket.destroy();
      return undefined;
    }
    counters.connectionsAccepted += 1;
    return { transport: config.transport, listener, connection: "", address: guest.address, port: guest.port, guest };
  }

  #namesOf(place: FlowKey): ConnectionNames {
    this.#count += 1;
    // The name to verify is no part of a connection's own key: it was verified when the connection was made.
    const { transport, listener, address, port } = place;
    const bare = { transport, listener, address, port };
    const key = serializeFlowKey({ ...bare, connection: `${this.#options.boot}${this.#count.toString(36)}` });
    return { key, anyKey: serializeFlowKey(place), address: place.address };
  }

  #add<Made extends Connection>(make: (heard: ConnectionHandlers, now: SteadyMs) => Made): Made {
    const connection = make(this.#heard, steadyNow());
    this.#byKey.set(connection.key, connection);
    if (connection.anyKey !== undefined) this.#byAnyKey.set(connection.anyKey, connection);
    return connection;
  }

  #closed(connection: Connection, wasOpen: boolean): void {
    this.#options.counters.connectionsClosed += 1;
    this.#byKey.delete(connection.key);
    const { anyKey } = connection;
    if (anyKey !== undefined && this.#byAnyKey.get(anyKey) === connection) this.#byAnyKey.delete(anyKey);
    // Nobody can know a connection that was never made.
    if (wasOpen) this.#handlers.closed(connection);
    if (this.#byKey.size === 0) this.#lastEnded();
  }
}

function connectOptions(key: FlowKey, config: ListenerConfig): { host: string; port: number; localAddress?: string } {
  // From the cluster address, so that the other end sees the address that it may answer to.
  return { host: key.address, port: key.port, ...(isWildcard(config.host) ? {} : { localAddress: config.host }) };
}
