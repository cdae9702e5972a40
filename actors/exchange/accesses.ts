import { phoneLostMs } from "../limits.ts";
import type { SipUri } from "../../sip/message/uri.ts";
import {
  accessOfFlow,
  cellOfLine,
  defaultPort,
  isLine,
  joinFlow,
  listenerOfFlowKey,
  serializeFlowKey,
  splitFlow,
  transportOfFlow,
  type Listener,
  type Transport,
} from "../../sip/flow/flow.ts";
import { OwnAddresses } from "./own-addresses.ts";
import type { SteadyMs } from "../../sip/time.ts";

type Access = { readonly listeners: readonly Listener[]; connected: boolean; lostAt: SteadyMs };

const never = Number.NEGATIVE_INFINITY;

const transports: Readonly<Record<string, Transport>> = { udp: "UDP", tcp: "TCP", tls: "TLS", ws: "WS", wss: "WSS" };

/**
 * The accesses that an exchange can send through: what they listen on, which are connected, and which one carries a message to an
 * address outside.
 */
export class Accesses {
  readonly #accesses = new Map<string, Access>();
  readonly own = new OwnAddresses();
  /** Listener of a line that has not introduced itself: softphones ignore where a Via points, they answer on their WebSocket. */
  readonly #lineListener: Listener;

  /** Undefined: nobody has said which cells can be reached. */
  #cells: ReadonlySet<string> | undefined;
  /** When cells were last seen to go. */
  readonly #cellsLostAt = new Map<string, number>();
  readonly #startedAt: SteadyMs;

  constructor(domain: string, startedAt: SteadyMs) {
    this.#lineListener = { transport: "WS", host: domain, port: defaultPort("WS") };
    this.#startedAt = startedAt;
  }

  connect(access: string, listeners: readonly Listener[]): void {
    this.own.add(listeners);
    this.#accesses.set(access, { listeners, connected: true, lostAt: this.#accesses.get(access)?.lostAt ?? never });
  }

  /** The access is gone for now; its listeners stay known, so that another gateway of the same cluster address can take over. */
  disconnect(access: string, now: SteadyMs): void {
    const known = this.#accesses.get(access);
    if (known === undefined || !known.connected) return;
    known.connected = false;
    known.lostAt = now;
  }

  /** A message could not be brought to it: its phones may be on their way elsewhere. */
  troubled(access: string, now: SteadyMs): void {
    const known = this.#accesses.get(access);
    if (known !== undefined) known.lostAt = now;
  }

  setCells(reachable: ReadonlySet<string>, now: SteadyMs): void {
    const before = this.#cells ?? new Set(Array.from(this.#accesses.keys()).filter(isLine).map(cellOfLine));
    for (const cell of before) if (!reachable.has(cell)) this.#cellsLostAt.set(cell, now);
    this.#cells = reachable;
  }

  /** True when phones that had this flow have lost it a moment ago, with its access or its cell. Or they may have lost it before this replica started. */
  isLostLately(flow: string, now: SteadyMs): boolean {
    const access = accessOfFlow(flow);
    const lostAt = this.#accesses.get(access)?.lostAt ?? this.#startedAt;
    const cellLostAt = isLine(access) ? this.#cellsLostAt.get(cellOfLine(access)) : undefined;
    return now - Math.max(lostAt, cellLostAt ?? never) <= phoneLostMs;
  }

  /** Lines are objects of the cluster: reachable by name while their cell is. A gateway is reachable while its backhaul is open. */
  isReachable(access: string): boolean {
    if (isLine(access)) return this.#cells === undefined || this.#cells.has(cellOfLine(access));
    return this.#accesses.get(access)?.connected === true;
  }

  /** Where a message that leaves on this flow comes from: host, port and transport for Via and Record-Route. */
  sentBy(flow: string): Listener {
    const split = splitFlow(flow);
    const listeners = split === undefined ? undefined : this.#accesses.get(split.access)?.listeners;
    const listener = split === undefined ? undefined : listeners?.[listenerOfFlowKey(split.key)];
    return listener ?? this.#lineListener;
  }

  /**
   * The flow to really use. It is the same one while its access is connected. For UDP, which needs no connection, it may be the same address through
   * another gateway, one with the same cluster address first. Undefined: there is no way.
   */
  usable(flow: string): string | undefined {
    const split = splitFlow(flow);
    if (split === undefined) return undefined;
    if (this.isReachable(split.access)) return flow;
    if (transportOfFlow(flow) !== "UDP") return undefined;
    const own = this.sentBy(flow);
    let fallback: string | undefined;
    for (const [name, access] of this.#accesses) {
      if (!access.connected || isLine(name)) continue;
      for (const [index, listener] of access.listeners.entries()) {
        if (listener.transport !== "UDP" || listener.host.includes(":") !== own.host.includes(":")) continue;
        const rest = split.key.slice(split.key.indexOf("."));
        const other = joinFlow(name, `u${index}${rest}`);
        if (listener.host === own.host && listener.port === own.port) return other;
        fallback ??= other;
      }
    }
    return fallback;
  }

  /**
   * The flow to a next hop whose URI needs no DNS: it has a numeric host. By RFC 3263 4.1 that is UDP for sip, TLS for sips, unless it names a
   * transport. Undefined when the host is a name, or no gateway has a listener for it.
   */
  numericFlow(uri: SipUri, preferred: string | undefined): string | undefined {
    const bare = uri.host.startsWith("[") ? uri.host.slice(1, -1) : uri.host;
    const isIpv6 = bare.includes(":");
    if (!isIpv6 && !/^\d{1,3}(?:\.\d{1,3}){3}$/.test(bare)) return undefined;
    const named = transports[(uri.params.get("transport") ?? "").toLowerCase()];
    const transport = uri.scheme === "sips" ? "TLS" : (named ?? "UDP");
    if (transport === "WS" || transport === "WSS") return undefined;
    const found = this.#gatewayFor(transport, isIpv6, preferred);
    if (found === undefined) return undefined;
    const port = uri.port ?? defaultPort(transport);
    return joinFlow(found.access, serializeFlowKey({ transport, listener: found.listener, connection: "", address: bare, port }));
  }

  /** A gateway has been here, and none may be now. */
  get hasLostGateway(): boolean {
    for (const [name, access] of this.#accesses) if (!access.connected && !isLine(name)) return true;
    return false;
  }

  /** A connected gateway, the preferred one when it is one: for next hops that need DNS. */
  anyGateway(preferred: string | undefined): string | undefined {
    if (preferred !== undefined && !isLine(preferred) && this.isReachable(preferred)) return preferred;
    for (const [name, access] of this.#accesses) if (access.connected && !isLine(name)) return name;
    return undefined;
  }

  #gatewayFor(transport: Transport, isIpv6: boolean, preferred: string | undefined): { access: string; listener: number } | undefined {
    let found: { access: string; listener: number } | undefined;
    for (const [name, access] of this.#accesses) {
      if (!access.connected || isLine(name)) continue;
      const listener = access.listeners.findIndex((each) => each.transport === transport && each.host.includes(":") === isIpv6);
      if (listener < 0) continue;
      if (name === preferred) return { access: name, listener };
      found ??= { access: name, listener };
    }
    return found;
  }
}
