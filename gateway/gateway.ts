import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { type Listener, parseFlowKey } from "../sip/flow/flow.ts";
import type { GatewayTally } from "../cluster/group/gateway-tally.ts";
import { expositionOf } from "../cluster/metrics/exposition.ts";
import { sourceOfAddress, sourcesOfNetwork } from "../sip/flow/source.ts";
import { GatewayActor, type GatewayPorts } from "../actors/gateway/gateway-actor.ts";
import type { Log } from "../actors/gateway/ports.ts";
import { GatewayError } from "./errors.ts";
import { isClusterMap } from "./config/cluster-map.ts";
import type { GatewayConfig, ListenerConfig } from "./config/config.ts";
import { changeOf, type ConfigChange } from "./config/config-change.ts";
import { Connections } from "./connections/connections.ts";
import { type Counters, newCounters } from "./counters.ts";
import { checkTls } from "./listen/bound-server.ts";
import { isSipLike } from "./listen/datagram.ts";
import { type Dns, SystemDns } from "./dns/dns.ts";
import type { CellSocketSigner } from "./links/cell-socket.ts";
import { MemberIdentity } from "./links/member-identity.ts";
import { Doorkeeper } from "./connections/doorkeeper.ts";
import { ProxyDoor } from "./listen/proxy-door.ts";
import { ConnectionDrain } from "./connections/drain.ts";
import { DroppingPlaces } from "./connections/dropping-places.ts";
import { Egress } from "./connections/egress.ts";
import { NextHopResolver } from "./dns/resolver.ts";
import { SourceLimit } from "./connections/source-limit.ts";
import { StreamListener } from "./listen/stream-listener.ts";
import { isStun, stunAnswer } from "./listen/stun.ts";
import { processPorts } from "./process-ports.ts";
import { HealthPage, type Health } from "./listen/health-page.ts";
import { Networks } from "./listen/networks.ts";
import { InputProbe } from "./listen/input-probe.ts";
import { type UdpListener, type UdpPlace, udpListener } from "./listen/udp-listener.ts";
import { UdpLosses } from "./listen/udp-losses.ts";
import { udpPlace } from "./listen/udp-place.ts";
import { gatewayMetrics } from "./metrics.ts";
import type { NativeDatagrams } from "./native/native.ts";
import { WebSocketListener } from "./listen/websocket-listener.ts";
import { steadyNow } from "./steady-now.ts";
import { setUrgent } from "./urgency.ts";
import type { SteadyMs } from "../sip/time.ts";

/** How often connections are looked over for idle and stuck ones. */
const sweepMs = 5_000;

/** One gateway: it gives {@link GatewayActor} listeners, connections, ways to cells, names and timers. It keeps no call state. */
export class Gateway {
  readonly counters: Counters = newCounters();
  readonly connections: Connections;
  readonly doorkeeper: Doorkeeper;
  #config: GatewayConfig;
  readonly #signer: CellSocketSigner;
  readonly #log: Log;
  /** New with every start: connections of an earlier one are gone. */
  readonly #boot = randomBytes(6).toString("hex").slice(0, 8);
  readonly #native: NativeDatagrams | undefined;
  readonly #udp = new Map<number, UdpListener>();
  /** Of the datagram listeners: how long what has come waits. */
  readonly #probes = new Map<number, InputProbe>();
  readonly #places = new DroppingPlaces();
  /** Those that accept connections. */
  readonly #streams = new Map<number, StreamListener | WebSocketListener>();
  readonly #limit: SourceLimit;
  /** Undefined: nobody is told. */
  readonly #healthPage: HealthPage | undefined;
  readonly #metricsReaders: Networks;
  readonly #door: ProxyDoor;
  readonly #drain: ConnectionDrain;
  readonly #dns: Dns & { stop?(): void };
  readonly #resolver: NextHopResolver;
  readonly #egress: Egress;
  /** The actor looks into it, too. */
  readonly #trusted: Set<string>;
  #listeners: readonly Listener[] = [];
  /** Undefined until all listeners are bound. */
  #actor: GatewayActor | undefined;
  /** Undefined until all listeners are bound. */
  #losses: UdpLosses | undefined;
  #sweptAt: SteadyMs = 0;

  /** `native`: code for many datagrams at once; undefined: Node's sockets. */
  constructor(
    config: GatewayConfig,
    log: Log,
    native: NativeDatagrams | undefined,
    dns: Dns & { stop?(): void } = new SystemDns(config.dnsServers),
  ) {
    this.#config = config;
    this.#signer = signerOf(config);
    this.#native = native;
    this.#log = log;
    this.#dns = dns;
    this.#trusted = new Set(config.limits.trusted.flatMap(sourcesOfNetwork));
    this.#limit = new SourceLimit(config.limits.messagesPerSource);
    this.#door = new ProxyDoor(config.proxyFrom, this.counters, log);
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
          for (const probe of this.#probes.values()) probe.busy();
          if (this.#allows(connection.address)) this.#actor?.receive(connection.key, octets, connection);
        },
        closed: (connection) => this.#actor?.closed(connection),
      },
    );
    this.#metricsReaders = new Networks(metricsReadersOf(config));
    const metrics = { mayRead: (address: string) => this.#metricsReaders.has(address), text: () => this.#metricsText() };
    this.#healthPage = config.health === undefined ? undefined : new HealthPage(config.health, () => this.#health(), metrics);
    this.#drain = new ConnectionDrain(this.connections, (now) => this.#actor?.lateMs(now));
    this.#egress = new Egress(this.#udp, this.connections, this.counters, this.#places);
    for (const [index, listener] of config.listeners.entries()) this.#makeListener(index, listener);
  }

  /** Where phones find it, with the ports that were really bound. */
  get listeners(): readonly Listener[] {
    return this.#listeners;
  }

  /** True when at least one exchange can be reached. */
  get isReachable(): boolean {
    return this.#actor?.isReachable ?? false;
  }

  /** The cell that messages of this exchange go to now, with this cell in their token or with none; undefined: they wait. */
  routeOf(exchange: number, cell?: string): string | undefined {
    return this.#actor?.routeOf(exchange, cell);
  }

  /**
   * Binds all listeners, then looks for the cells. Rejects with a GatewayError when an address cannot be had; nothing is left open then. `unfit`: what cells
   * say shows that this configuration is wrong, and why.
   */
  async start(unfit?: (reason: string) => void): Promise<void> {
    try {
      this.#listeners = await Promise.all(this.#config.listeners.map((listener, index) => this.#bind(index, listener)));
      await this.#healthPage?.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
    const bound = Array.from(this.#udp.values(), (listener) => listener.bound).filter((each) => each !== undefined);
    this.#losses = new UdpLosses(bound, this.counters, this.#log, (file) => readFile(file, "latin1"), this.#places);
    const { name, cells } = this.#config;
    const known = { name, boot: this.#boot, listeners: this.#listeners, cells, trusted: this.#trusted };
    this.#actor = new GatewayActor({ ...known, counters: this.counters }, { ...this.#ports(), ...(unfit === undefined ? {} : { unfit }) });
  }

  /**
   * Takes over what can change while it runs, and says what it was. What stands goes on: connections, and calls. Throws a {@link GatewayError} for what cannot be
   * used; nothing has changed then.
   */
  reload(next: GatewayConfig): ConfigChange {
    const change = changeOf(this.#config, next);
    const { tls = this.#config.tls, limits, proxyFrom, metricsFrom } = next;
    if (tls !== undefined) {
      checkTls(tls);
      for (const listener of this.#streams.values()) listener.renew(tls);
      this.connections.renew(tls);
    }
    this.#door.believe(proxyFrom);
    this.#metricsReaders.become(metricsReadersOf(next));
    this.#limit.become(limits.messagesPerSource);
    this.doorkeeper.become(limits.connectionsMax);
    this.#trusted.clear();
    for (const source of limits.trusted.flatMap(sourcesOfNetwork)) this.#trusted.add(source);
    this.#config = { ...this.#config, ...(tls === undefined ? {} : { tls }), limits, proxyFrom, metricsFrom };
    return change;
  }

  #ports(): GatewayPorts {
    return {
      ...processPorts(this.#signer, this.#log),
      send: (flowKey, octets, link) => this.#egress.send(flowKey, octets, link),
      close: (flowKey) => this.connections.close(flowKey),
      resolve: (uri, found) => void this.#resolver.resolve(uri).then(found),
      isClusterMap,
      tally: () => this.#tally(),
      looked: () => this.#sweep(steadyNow()),
      inputDelayMs: () => this.#inputDelayMs(),
      drain: (closeInMs) => this.#drain.set(closeInMs),
      setUrgent: (isUrgent) => setUrgent(isUrgent),
    };
  }

  #health(): Health {
    const actor = this.#actor;
    const reason = actor?.isDraining === true ? "draining" : actor?.isReachable === true ? undefined : "no cell can be reached";
    return { gateway: this.#config.name, reason, connections: this.connections.accepted().length };
  }

  #metricsText(): string {
    const actor = this.#actor;
    const { user, system } = process.cpuUsage();
    return expositionOf(
      gatewayMetrics(
        {
          name: this.#config.name,
          counters: this.counters,
          connections: this.connections.accepted().length,
          isReachable: actor?.isReachable === true,
          isDraining: actor?.isDraining === true,
          isNative: this.#native !== undefined,
          lateMs: actor?.lateMs(steadyNow()) ?? 0,
          inputDelayMs: this.#inputDelayMs(),
        },
        {
          cpuSeconds: (user + system) / 1e6,
          memoryOctets: process.memoryUsage.rss(),
          startedAt: Math.round(Date.now() / 1_000 - process.uptime()),
        },
      ),
    );
  }

  #tally(): GatewayTally {
    // Only while somebody waits for it: each change of it wakes the cells.
    const left = this.#actor?.isDraining === true ? { connectionsLeft: this.connections.accepted().length } : {};
    const { datagramsLost, datagramsDropped, datagramsPaced, shed, noise, noisySources } = this.counters;
    return { isNative: this.#native !== undefined, datagramsLost, datagramsDropped, datagramsPaced, shed, noise, noisySources, ...left };
  }

  /** The longest of all its sockets: each new request may have come by any. */
  #inputDelayMs(): number {
    let delayMs = 0;
    for (const probe of this.#probes.values()) delayMs = Math.max(delayMs, probe.delayMs);
    return delayMs;
  }

  #sweep(now: SteadyMs): void {
    this.doorkeeper.sweep(now);
    if (now - this.#sweptAt < sweepMs) return;
    this.#sweptAt = now;
    this.connections.sweep(now);
    void this.#losses?.look(now);
  }

  /** Closes everything. Softphones are told that it goes, and have a moment to answer. */
  async stop(): Promise<void> {
    this.#actor?.stopReading();
    // Whoever asks is refused from now on.
    const unasked = this.#healthPage?.stop();
    await this.connections.stop();
    await unasked;
    this.#actor?.stop();
    this.#drain.stop();
    this.#dns.stop?.();
    this.#egress.stop();
    for (const probe of this.#probes.values()) probe.stop();
    this.#probes.clear();
    this.#door.stop();
    await Promise.all([...this.#udp.values(), ...this.#streams.values()].map((listener) => listener.stop()));
  }

  #makeListener(index: number, config: ListenerConfig): void {
    if (config.transport === "UDP") {
      const handlers = {
        receive: (flowKey: string, octets: Uint8Array, address: string) => this.#receiveDatagram(index, flowKey, octets, address),
        failed: (error: Error) => this.#log("udp-error", { listener: index, reason: error.message }),
        dropped: (place: UdpPlace) => {
          this.counters.datagramsDropped += 1;
          this.#places.dropped(place);
        },
      };
      this.#udp.set(index, udpListener(config, index, handlers, this.#native));
      return;
    }
    this.#streams.set(index, this.#makeStreamListener(index, config));
  }

  #makeStreamListener(index: number, config: ListenerConfig): StreamListener | WebSocketListener {
    const { tls, name } = this.#config;
    const door = this.#door;
    const junk = (): void => {
      this.counters.junk += 1;
    };
    const admit = (socket: Socket): boolean => this.doorkeeper.admit(socket, config.transport, steadyNow(), door.namedBy(socket));
    if (config.transport !== "WS" && config.transport !== "WSS") {
      return new StreamListener(config, tls, { junk, door, admit, accepted: (socket) => this.connections.accept(index, socket) });
    }
    return new WebSocketListener(config, tls, name, {
      junk,
      door,
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
    if (config.transport === "UDP") this.#probes.set(index, new InputProbe(config.host, port));
    return { transport: config.transport, host: config.advertisedHost, port: config.advertisedPort ?? port };
  }

  #receiveDatagram(index: number, flowKey: string, octets: Uint8Array, address: string): void {
    const probe = this.#probes.get(index);
    if (!isSipLike(octets)) {
      if (probe?.read(octets) !== true) this.#receiveOther(flowKey, octets);
      return;
    }
    probe?.busy();
    if (this.#allows(address)) {
      this.#actor?.receive(flowKey, octets, undefined);
    }
  }

  /** A datagram that is no SIP: a keep-alive, which need not be answered unless it is STUN, or junk. */
  #receiveOther(flowKey: string, octets: Uint8Array): void {
    const key = isStun(octets) ? parseFlowKey(flowKey) : undefined;
    const answer = key === undefined ? undefined : stunAnswer(octets, key.address, key.port);
    if (answer !== undefined && key !== undefined) this.#udp.get(key.listener)?.send(answer, udpPlace(key.address, key.port), () => {});
    if (answer !== undefined || octets.length <= 4) this.counters.keepAlives += 1;
    else this.counters.junk += 1;
  }

  #allows(address: string): boolean {
    if (
      this.#config.limits.messagesPerSource === 0 ||
      this.#trusted.has(sourceOfAddress(address)) ||
      this.#limit.allows(address, steadyNow())
    )
      return true;
    this.counters.limited += 1;
    return false;
  }
}

/** What cells know this gateway by. */
function signerOf({ name, secret = "", member }: GatewayConfig): CellSocketSigner {
  if (member === undefined) return { gateway: name, secret };
  try {
    return { gateway: name, member: new MemberIdentity(member) };
  } catch (error) {
    throw new GatewayError(
      `the key or certificate of this member cannot be used: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** This machine itself may always read them. */
function metricsReadersOf({ metricsFrom }: Pick<GatewayConfig, "metricsFrom">): readonly string[] {
  return ["127.0.0.0/8", "::1", ...metricsFrom];
}
