import { isParseError } from "../../sip/errors.ts";
import type { SeenCause, View } from "../../cluster/group/view.ts";
import { buildResponse } from "../../sip/message/build.ts";
import { parseMessage } from "../../sip/message/sip-message.ts";
import { pairOf } from "../../cluster/map/cluster-map.ts";
import { routingKeyOf } from "../../cluster/map/routing-key.ts";
import { joinFlow, parseFlowKey, serializeFlowKey, splitFlow, transportOfFlowKey, type Listener } from "../../sip/flow/flow.ts";
import { jsonOctets, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { responseFlow, stampReceived } from "../../sip/flow/response-flow.ts";
import { BackhaulPair, type BackhaulPairEffect, type BackhaulPairLimits } from "../../cluster/backhaul/backhaul-pair.ts";
import { Backlog, type ReadMessage } from "../../cluster/backhaul/backlog.ts";
import { standstillMessagesMax, standstillMsMin, standstillWaitMs } from "../../gateway/limits.ts";
import type { Cluster } from "./cluster.ts";
import { GatewayLink } from "./gateway-link.ts";
import { Host, type Clock } from "./host.ts";
import type { End, EndHandlers } from "./network.ts";
import { cSeqOf } from "./sip-text.ts";
import type { Planned } from "./world.ts";

/** gateway/limits.ts */
const limits: BackhaulPairLimits = {
  octetsMax: 8 * 1024 * 1024 - 1024,
  holdMs: 4_000,
  servingAssumedMs: 1_000,
  helloAnswerMs: 10_000,
  flapMs: 1_000,
  returnWaitMs: 200,
  returnSettleMs: 100,
  movesMax: 4,
};
const watchMsMax = 250;
const nothing = new Uint8Array(0);

/** `links`: of its connection; undefined: a datagram. */
type Read = ReadMessage & { readonly links: Set<string> | undefined };

/** Who takes datagrams for an address. */
export type Datagrams = { host(): Host | undefined; receive(octets: Uint8Array, from: string): void };

type Backhauls = {
  readonly pair: BackhaulPair;
  readonly links: Map<string, GatewayLink>;
  timer: Planned | undefined;
  timerAt: number;
  isFlushing: boolean;
};

/** A gateway as gateway/ runs it: the real pair of backhauls for each exchange, with its sockets, its pings, and its phones. */
export class Gateway {
  readonly cluster: Cluster;
  readonly host: Host;
  readonly address: string;
  #boot = "";
  #backhauls = new Map<number, Backhauls>();
  #controls: GatewayLink[] = [];
  #connections = new Map<string, { readonly end: End; readonly links: Set<string> }>();
  #declaredDown = new Map<string, ReadonlySet<string>>();
  #count = 0;
  #awakeAt = 0;
  /** gateway/standstill.ts */
  #backlog = new Backlog<Read>(standstillMessagesMax);
  #aliveAt = 0;

  constructor(cluster: Cluster, name: string, address: string, clock: Clock) {
    this.cluster = cluster;
    this.address = address;
    this.host = new Host(cluster.world, name, clock);
  }

  /** Octets on their way to exchanges. */
  get octetsHeld(): number {
    let octets = 0;
    for (const { pair } of this.#backhauls.values()) octets += pair.octetsHeld;
    return octets;
  }

  start(): void {
    this.host.start(() => {
      const { map, random } = this.cluster;
      this.#boot = random.id().slice(0, 8);
      this.#backhauls = new Map();
      this.#connections = new Map();
      this.#declaredDown = new Map();
      this.#awakeAt = this.host.now;
      this.#backlog = new Backlog(standstillMessagesMax);
      this.#aliveAt = this.host.now;
      this.#controls = map.cells.map(({ id }) => this.#control(id));
      for (let exchange = 0; exchange < map.exchangeCount; exchange += 1) this.#backhauls.set(exchange, this.#backhaulsTo(exchange));
      this.#beat();
    });
  }

  /** A datagram from a phone. */
  datagram(address: string, port: number, octets: Uint8Array): void {
    const key = serializeFlowKey({ transport: "UDP", listener: 0, connection: "", address, port });
    this.#take({ key, octets, links: undefined });
  }

  /** A phone's connection. */
  accept(transport: "TCP" | "WSS", address: string, port: number, end: End): EndHandlers {
    this.#count += 1;
    const connection = `${this.#boot}${this.#count.toString(36)}`;
    const key = serializeFlowKey({ transport, listener: transport === "TCP" ? 1 : 2, connection, address, port });
    const links = new Set<string>();
    this.#connections.set(key, { end, links });
    return {
      message: (data) => (data === "ping" ? end.send("pong") : this.#take({ key, octets: data as Uint8Array, links })),
      closed: () => {
        for (const message of this.#backlog.closed(key)) this.#place(message);
        this.#connections.delete(key);
        for (const name of links) {
          const [exchange = "", cell = ""] = name.split(" ");
          this.#offer(Number(exchange), { kind: RecordKind.closed, key, octets: nothing }, cell);
        }
      },
    };
  }

  #backhaulsTo(exchange: number): Backhauls {
    const { map } = this.cluster;
    const listeners: Listener[] = [
      { transport: "UDP", host: this.address, port: 5060 },
      { transport: "TCP", host: this.address, port: 5060 },
      { transport: "WSS", host: this.address, port: 443 },
    ];
    const hello = { kind: RecordKind.hello, key: this.host.name, octets: jsonOctets({ boot: this.#boot, listeners }) };
    const { primary, secondary } = pairOf(map, exchange);
    const pair = new BackhaulPair([primary, secondary], { hello, heartbeat: map.heartbeat, limits }, this.host.now);
    const backhauls: Backhauls = { pair, links: new Map(), timer: undefined, timerAt: Number.POSITIVE_INFINITY, isFlushing: false };
    for (const cell of [primary, secondary]) {
      const link = new GatewayLink(this.host, this.cluster.cell(cell), {
        accept: (end) => this.cluster.cell(cell).acceptBackhaul(exchange, this.host.name, end),
        opened: () => {
          pair.opened(cell, this.#now());
          this.#flush(backhauls);
        },
        received: (data) => this.#received(exchange, backhauls, cell, data as Uint8Array),
        down: (reason) => {
          this.host.trace(() => `backhaul of exchange ${exchange} to ${cell} is down: ${reason}`);
          pair.lost(cell, this.#now());
          this.#flush(backhauls);
        },
      });
      backhauls.links.set(cell, link);
      link.start();
    }
    return backhauls;
  }

  #control(cell: string): GatewayLink {
    const link = new GatewayLink(this.host, this.cluster.cell(cell), {
      accept: (end) => this.cluster.cell(cell).acceptControl(this.host.name, end),
      opened: () => {},
      received: (data) => this.#viewed(cell, (data as { readonly view: View }).view),
      down: (reason) => {
        const seen: SeenCause = reason === "closed" ? "closed socket" : reason === "refused" ? "connection refused" : "missed heartbeats";
        for (const other of this.#controls) if (other !== link) other.send({ lost: cell, seen });
      },
    });
    link.start();
    return link;
  }

  #viewed(by: string, view: View): void {
    const before = this.#declaredDown.get(by);
    const down = new Set(view.cells.filter(({ id, state }) => state === "down" && id !== by).map(({ id }) => id));
    this.#declaredDown.set(by, down);
    for (const { links } of this.#backhauls.values()) {
      for (const [cell, link] of links) {
        if (down.has(cell)) link.doubt(by);
        else if (before?.has(cell) === true) link.hurry();
      }
    }
  }

  #beat(): void {
    const { periodMs, missed } = this.cluster.map.heartbeat;
    this.host.after(periodMs, () => {
      this.#now();
      for (const link of this.#links()) link.beat(missed);
      this.host.after(periodMs / 2 + 1, () => {
        const now = this.#now();
        for (const link of this.#links()) link.check(missed, periodMs / 2, now);
      });
      this.#beat();
    });
  }

  *#links(): IterableIterator<GatewayLink> {
    yield* this.#controls;
    for (const { links } of this.#backhauls.values()) yield* links.values();
  }

  /** After a time in which this process stood still nobody is judged by it. */
  #now(): number {
    const now = this.#look();
    const { periodMs, missed } = this.cluster.map.heartbeat;
    if (now - this.#awakeAt > (periodMs * missed) / 2 + watchMsMax) {
      for (const { pair, links } of this.#backhauls.values()) {
        pair.awoke(now);
        for (const link of links.values()) link.forgive();
      }
    }
    this.#awakeAt = now;
    return now;
  }

  /** What is read from a phone. */
  #take(message: Read): void {
    const now = this.#look();
    const isForgotten = message.links === undefined && this.#backlog.mayBeOld(message.octets, now);
    if (isForgotten) this.host.trace(() => "forgets what it was too late to read");
    else if (message.links === undefined || this.#backlog.offer(message, now)) this.#place(message);
  }

  #look(): number {
    const { now } = this.host;
    if (now - this.#aliveAt >= standstillMsMin) {
      this.#backlog.expect(now + standstillWaitMs);
      this.host.after(standstillWaitMs + 1, () => {
        for (const message of this.#backlog.release(this.host.now)) this.#place(message);
      });
    }
    this.#aliveAt = now;
    return now;
  }

  #place({ key: flowKey, octets, links }: Read): void {
    const key = routingKeyOf(octets, 0, octets.length, this.cluster.map) ?? { exchange: 0, cell: undefined };
    const taker = this.#offer(key.exchange, { kind: RecordKind.message, key: flowKey, octets }, key.cell);
    if (taker === undefined) this.#refuse(flowKey, octets);
    else links?.add(`${key.exchange} ${taker}`);
  }

  #offer(exchange: number, record: FrameRecord, cell: string | undefined): string | undefined {
    const backhauls = this.#backhauls.get(exchange);
    if (backhauls === undefined) return undefined;
    const taker = backhauls.pair.offer(record, cell, this.host.now);
    this.host.soon(() => this.#flush(backhauls));
    return taker;
  }

  #received(exchange: number, backhauls: Backhauls, cell: string, octets: Uint8Array): void {
    const records = backhauls.pair.receive(cell, octets, this.host.now);
    if ("frameError" in records) {
      this.host.threw(new Error(`frame from ${cell}: ${records.frameError}`));
      backhauls.links.get(cell)?.drop(records.frameError);
      return;
    }
    for (const { kind, key, octets: content } of records) {
      if (kind === RecordKind.send) this.#send(exchange, cell, key, content);
      else if (kind === RecordKind.resolve) this.#offer(exchange, { kind: RecordKind.resolved, key, octets: jsonOctets([]) }, cell);
      else if (kind === RecordKind.closeFlow) this.#connections.get(key)?.end.close();
    }
    this.host.soon(() => this.#flush(backhauls));
  }

  #send(exchange: number, cell: string, key: string, octets: Uint8Array): void {
    if (transportOfFlowKey(key) === "UDP") {
      const target = parseFlowKey(key);
      if (target !== undefined) this.#sendDatagram(target.address, target.port, octets);
      return;
    }
    const connection = this.#connections.get(key);
    if (connection?.end.isOpen === true) {
      connection.links.add(`${exchange} ${cell}`);
      connection.end.send(octets);
    } else this.#offer(exchange, { kind: RecordKind.undeliverable, key, octets }, cell);
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

  #refuse(flowKey: string, octets: Uint8Array): void {
    const message = parseMessage(octets);
    if (isParseError(message) || !message.isRequest || message.method === "ACK") return;
    this.host.trace(() => `refuses ${message.method}`);
    const flow = joinFlow(this.host.name, flowKey);
    const request = stampReceived(message, flow);
    const response = buildResponse(request, 503, { toTag: "gw", headers: [["Retry-After", "5"]] });
    const key = splitFlow(responseFlow(request, flow))?.key ?? flowKey;
    const target = parseFlowKey(key);
    if (transportOfFlowKey(key) !== "UDP") this.#connections.get(key)?.end.send(response);
    else if (target !== undefined) this.#sendDatagram(target.address, target.port, response);
  }

  #flush(backhauls: Backhauls): void {
    if (backhauls.isFlushing) {
      this.host.soon(() => this.#flush(backhauls));
      return;
    }
    backhauls.isFlushing = true;
    const now = this.#now();
    backhauls.pair.tick(now);
    for (const effect of backhauls.pair.takeEffects()) this.#carryOut(backhauls, effect);
    backhauls.isFlushing = false;
    const deadline = backhauls.pair.nextDeadline();
    if (deadline === undefined || backhauls.timerAt <= deadline) return;
    if (backhauls.timer !== undefined) backhauls.timer.isOff = true;
    backhauls.timerAt = deadline;
    backhauls.timer = this.host.at(Math.max(deadline, now + 1), () => {
      backhauls.timerAt = Number.POSITIVE_INFINITY;
      this.#flush(backhauls);
    });
  }

  #carryOut(backhauls: Backhauls, effect: BackhaulPairEffect): void {
    switch (effect.type) {
      case "frame":
        backhauls.links.get(effect.cell)?.send(effect.octets);
        break;
      case "drop":
        this.host.trace(() => `drops a backhaul to ${effect.cell}: ${effect.reason}`);
        backhauls.links.get(effect.cell)?.drop(effect.reason);
        break;
      case "abandoned":
        for (const { kind, key, octets } of effect.records) if (kind === RecordKind.message) this.#refuse(key, octets);
        break;
      case "takenOver":
        this.host.trace(() => `${effect.to} takes over from ${effect.from}, with ${effect.records} records`);
        break;
      case "returned":
        this.host.trace(() => `goes back from ${effect.from} to ${effect.to}`);
        break;
    }
  }
}

/** `SIP/2.0 3xx` to `6xx`; no request of a phone has a digit there. */
function startsRefusal(octets: Uint8Array): boolean {
  const digit = octets[8] ?? 0;
  return digit >= 0x33 && digit <= 0x36;
}
