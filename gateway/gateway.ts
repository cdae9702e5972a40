import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { type Listener, parseFlowKey } from "../sip/flow/flow.ts";
import { stringOf } from "../sip/message/octets.ts";
import { type FrameRecord, type Hello, RecordKind, jsonOctets } from "../cluster/backhaul/frame.ts";
import type { GatewayConfig, ListenerConfig } from "./config/config.ts";
import { Connections } from "./connections/connections.ts";
import { ControlLinks } from "./links/control-links.ts";
import { type Counters, newCounters } from "./counters.ts";
import { isSipLike } from "./listen/datagram.ts";
import { Dispatcher } from "./dispatcher.ts";
import { type Dns, SystemDns } from "./dns/dns.ts";
import { Doorkeeper } from "./connections/doorkeeper.ts";
import { Egress } from "./connections/egress.ts";
import { Heart } from "./heart.ts";
import { heartbeatDefault, lookMsMax } from "./limits.ts";
import { LocalAnswers } from "./local-answers.ts";
import type { Log } from "./log.ts";
import { NextHopResolver } from "./dns/resolver.ts";
import { SourceLimit } from "./connections/source-limit.ts";
import { StreamListener } from "./listen/stream-listener.ts";
import { isStun, stunAnswer } from "./listen/stun.ts";
import type { BackhaulLink } from "./links/backhaul-link.ts";
import { Backhauls } from "./links/backhauls.ts";
import { UdpListener } from "./listen/udp-listener.ts";
import { WebSocketListener } from "./listen/websocket-listener.ts";

/** How often connections are looked over for idle and stuck ones. */
const sweepMs = 5_000;

/** One gateway: its listeners, connections, backhauls and control links, put together. It keeps no call state. */
export class Gateway {
  readonly counters: Counters = newCounters();
  readonly connections: Connections;
  readonly doorkeeper: Doorkeeper;
  readonly #config: GatewayConfig;
  readonly #log: Log;
  /** New with every start: connections of an earlier one are gone. */
  readonly #boot = randomBytes(6).toString("hex").slice(0, 8);
  readonly #udp = new Map<number, UdpListener>();
  /** Those that accept connections. */
  readonly #streams = new Map<number, StreamListener | WebSocketListener>();
  readonly #limit: SourceLimit;
  readonly #dns: Dns & { stop?(): void };
  readonly #resolver: NextHopResolver;
  readonly #egress: Egress;
  readonly #answers: LocalAnswers;
  #listeners: readonly Listener[] = [];
  #backhauls: Backhauls | undefined;
  #control: ControlLinks | undefined;
  #dispatcher: Dispatcher | undefined;
  #heart: Heart | undefined;

  constructor(config: GatewayConfig, log: Log, dns: Dns & { stop?(): void } = new SystemDns(config.dnsServers)) {
    this.#config = config;
    this.#log = log;
    this.#dns = dns;
    this.#limit = new SourceLimit(config.limits.messagesPerSource);
    this.#resolver = new NextHopResolver(dns, config.listeners);
    this.doorkeeper = new Doorkeeper(config.limits.connectionsMax, this.counters);
    this.connections = new Connections(
      {
        listeners: config.listeners,
        tls: config.tls,
        doorkeeper: this.doorkeeper,
        boot: this.#boot,
        counters: this.counters,
      },
      {
        message: (connection, octets) => {
          if (this.#allows(connection.address)) this.#dispatcher?.receive(connection.key, octets, connection);
        },
        closed: (connection) => {
          this.#dispatcher?.closed(connection.key);
          this.#backhauls?.tellClosed(connection.key, connection.links, Date.now());
        },
      },
    );
    this.#egress = new Egress(this.#udp, this.connections, this.counters);
    this.#answers = new LocalAnswers({
      gateway: config.name,
      boot: this.#boot,
      listeners: () => this.#listeners,
      map: () => this.#backhauls?.map,
      isReachable: () => this.#backhauls?.isReachable ?? false,
      send: (flowKey, octets) => this.#egress.send(flowKey, octets, undefined),
    });
    for (const [index, listener] of config.listeners.entries()) this.#makeListener(index, listener);
  }

  /** Where phones find it, with the ports that were really bound. */
  get listeners(): readonly Listener[] {
    return this.#listeners;
  }

  /** True when at least one exchange can be reached. */
  get isReachable(): boolean {
    return this.#backhauls?.isReachable ?? false;
  }

  /** The cell that messages of this exchange go to now, with this cell in their token or with none; undefined: they wait. */
  routeOf(exchange: number, cell?: string): string | undefined {
    return this.#backhauls?.routeOf(exchange, cell);
  }

  /** Binds all listeners, then looks for the cells. Rejects with a GatewayError when an address cannot be had; nothing is left open then. */
  async start(): Promise<void> {
    const { name, secret, cells } = this.#config;
    try {
      this.#listeners = await Promise.all(this.#config.listeners.map((listener, index) => this.#bind(index, listener)));
    } catch (error) {
      await this.stop();
      throw error;
    }
    const hello: Hello = { boot: this.#boot, listeners: this.#listeners };
    const heart = new Heart(heartbeatDefault.periodMs, lookMsMax);
    this.#heart = heart;
    const common = { gateway: name, secret, hello, heart, log: this.#log };
    this.#backhauls = new Backhauls(
      { ...common, counters: this.counters, cellUrls: new Map(cells.map(({ id, url }) => [id, url])) },
      {
        receive: (link, records) => this.#receive(link, records),
        abandoned: (records) => this.#dispatcher?.abandoned(records),
        displaced: (records) => this.#dispatcher?.displaced(records),
      },
    );
    this.#dispatcher = new Dispatcher(heart, this.#backhauls, this.#answers, this.counters);
    this.#control = new ControlLinks(
      { ...common, cells },
      {
        mapped: (map) => {
          this.#backhauls?.update(map, Date.now());
          this.#dispatcher?.mapChanged();
        },
        viewed: (by, states) => this.#backhauls?.viewed(by, states),
      },
    );
    this.#control.start();
    let sweptAt = 0;
    heart.onLook(() => {
      const now = Date.now();
      this.doorkeeper.sweep(now);
      if (now - sweptAt < sweepMs) return;
      sweptAt = now;
      this.connections.sweep(now);
    });
  }

  /** Closes everything. Softphones are told that it goes, and have a moment to answer. */
  async stop(): Promise<void> {
    this.#heart?.stop();
    this.#dispatcher?.stop();
    await this.connections.stop();
    this.#control?.stop();
    this.#backhauls?.stop();
    this.#dns.stop?.();
    await Promise.all([...this.#udp.values(), ...this.#streams.values()].map((listener) => listener.stop()));
  }

  #makeListener(index: number, config: ListenerConfig): void {
    if (config.transport === "UDP") {
      const listener = new UdpListener(config, index, {
        receive: (flowKey, octets, address) => this.#receiveDatagram(flowKey, octets, address),
        failed: (error) => this.#log("udp-error", { listener: index, reason: error.message }),
      });
      this.#udp.set(index, listener);
      return;
    }
    this.#streams.set(index, this.#makeStreamListener(index, config));
  }

  #makeStreamListener(index: number, config: ListenerConfig): StreamListener | WebSocketListener {
    const { tls, name } = this.#config;
    const junk = (): void => {
      this.counters.junk += 1;
    };
    const admit = (socket: Socket): boolean => this.doorkeeper.admit(socket, config.transport, Date.now());
    if (config.transport !== "WS" && config.transport !== "WSS") {
      return new StreamListener(config, tls, { junk, admit, accepted: (socket) => this.connections.accept(index, socket) });
    }
    return new WebSocketListener(config, tls, name, {
      junk,
      admit,
      isSurplus: (socket) => this.doorkeeper.isSurplus(socket),
      refused: () => {
        this.counters.connectionsRefused += 1;
      },
      accepted: (webSocket, socket) => this.connections.acceptWebSocket(index, webSocket, socket),
    });
  }

  async #bind(index: number, config: ListenerConfig): Promise<Listener> {
    const port = (await (this.#udp.get(index) ?? this.#streams.get(index))?.start()) ?? config.port;
    return { transport: config.transport, host: config.advertisedHost, port: config.advertisedPort ?? port };
  }

  #receiveDatagram(flowKey: string, octets: Uint8Array, address: string): void {
    if (!isSipLike(octets)) {
      this.#receiveOther(flowKey, octets);
    } else if (this.#allows(address)) {
      this.#dispatcher?.receive(flowKey, octets, undefined);
    }
  }

  /** A datagram that is no SIP: a keep-alive, which need not be answered unless it is STUN, or junk. */
  #receiveOther(flowKey: string, octets: Uint8Array): void {
    const key = isStun(octets) ? parseFlowKey(flowKey) : undefined;
    const answer = key === undefined ? undefined : stunAnswer(octets, key.address, key.port);
    if (answer !== undefined && key !== undefined) this.#udp.get(key.listener)?.send(answer, key.address, key.port, () => {});
    if (answer !== undefined || octets.length <= 4) this.counters.keepAlives += 1;
    else this.counters.junk += 1;
  }

  #allows(address: string): boolean {
    if (this.#config.limits.messagesPerSource === 0 || this.#limit.allows(address, Date.now())) return true;
    this.counters.limited += 1;
    return false;
  }

  #receive(link: BackhaulLink, records: readonly FrameRecord[]): void {
    for (const { kind, key, octets } of records) {
      switch (kind) {
        case RecordKind.send:
          this.#egress.send(key, octets, link);
          break;
        case RecordKind.resolve:
          this.counters.resolutions += 1;
          void this.#resolve(link, key, stringOf(octets));
          break;
        case RecordKind.closeFlow:
          this.connections.close(key);
          break;
        default:
          // A newer exchange may say more than this gateway knows.
          break;
      }
    }
  }

  /** Answers the exchange's question where a next hop is (RFC 3263). */
  async #resolve(link: BackhaulLink, id: string, uri: string): Promise<void> {
    const flows = await this.#resolver.resolve(uri);
    link.answer({ kind: RecordKind.resolved, key: id, octets: jsonOctets(flows) });
  }
}
