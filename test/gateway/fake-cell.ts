import { createHmac } from "node:crypto";
import { type IncomingMessage, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { nodeEnvironment } from "../../kit/connections/node-environment.ts";
import { News } from "../../kit/phone/news.ts";
import { type GatewayTally, tallyOf } from "../../cluster/group/gateway-tally.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { protocolVersion, versionHeader } from "../../cluster/protocol-version.ts";
import { decodeFrame, encodeFrame, isFrameError, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";

/** Less than a test may take, so that it says what did not come. */
const patienceMs = 4_500;
const pollMs = 2;

export const secret = "a secret of the cluster, long enough";

/** A backhaul's end at a test double of a cell: it checks sequence numbers and acknowledges every frame, as an exchange does. */
export class FakeBackhaul {
  readonly exchange: number;
  readonly socket: WebSocket;
  seq = 0;
  received = 0;
  /** The last frame that may be acknowledged. */
  done = 0;
  /** Acknowledgements of the gateway. */
  acknowledged = 0;

  constructor(exchange: number, socket: WebSocket) {
    this.exchange = exchange;
    this.socket = socket;
  }

  send(records: readonly FrameRecord[]): void {
    this.seq += 1;
    this.socket.send(encodeFrame(this.seq, this.done, records));
  }

  acknowledge(): void {
    this.socket.send(encodeFrame(0, this.done, []));
  }
}

export type Arrival = { readonly exchange: number; readonly record: FrameRecord; readonly backhaul: FakeBackhaul };

/** A test double of one cell: serves the map on /control and takes backhauls on /backhaul/<exchange>. */
export class FakeCell {
  readonly id: string;
  readonly arrivals: Arrival[] = [];
  /** What came on control links: hellos, and what else; tallies, which come when they like, apart. */
  readonly hellos: unknown[] = [];
  readonly tallies: GatewayTally[] = [];
  readonly frameSizes: number[] = [];
  readonly backhauls = new Map<number, FakeBackhaul>();
  readonly controls = new Set<WebSocket>();
  /** What a received record is answered with, in one frame with its acknowledgement. */
  answer: (arrival: Arrival) => readonly FrameRecord[] = () => [];
  acknowledges = true;
  pongs = true;
  /** What its exchanges say about themselves after a hello; undefined: nothing, as older ones. */
  serving: boolean | undefined = true;
  /** Upgrades that came while it was frozen; undefined: it is not. */
  #frozen: (() => void)[] | undefined;
  /** Status that new WebSockets are refused with; 0: they are accepted. */
  refusesWith = 0;
  attempts: number[] = [];
  map: ClusterMap | undefined;
  #server = createServer();
  /** The version of the protocol that it says it speaks; undefined: it says none, as old ones. */
  version: number | undefined = protocolVersion;
  #sockets = new WebSocketServer({ noServer: true });
  readonly #news = new News(nodeEnvironment);
  readonly #nonces = new Set<string>();
  port = 0;

  constructor(id: string) {
    this.id = id;
    this.#sockets.on("headers", (headers) => {
      if (this.version !== undefined) headers.push(`${versionHeader}: ${this.version}`);
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<this> {
    this.#server = createServer();
    this.#server.on("upgrade", (request, socket, head) => {
      socket.on("error", () => {});
      this.attempts.push(performance.now());
      this.#news.tell();
      const upgrade = (): void => this.#upgrade(request, socket, head);
      if (this.#frozen === undefined) upgrade();
      else this.#frozen.push(upgrade);
    });
    await new Promise<void>((resolve) => {
      this.#server.listen(this.port, "127.0.0.1", resolve);
    });
    this.port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** As kill -9 does: connections break, the port is closed. */
  async stop(): Promise<void> {
    this.#frozen = undefined;
    for (const client of this.#sockets.clients) client.terminate();
    this.backhauls.clear();
    this.controls.clear();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  /** As SIGSTOP does: connections stay open, what comes is neither read nor answered. */
  freeze(): void {
    this.#frozen = [];
    for (const client of this.#sockets.clients) client.pause();
  }

  /** As SIGCONT does: all that came meanwhile is read. */
  thaw(): void {
    const upgrades = this.#frozen ?? [];
    this.#frozen = undefined;
    for (const client of this.#sockets.clients) client.resume();
    for (const upgrade of upgrades) upgrade();
  }

  /** Connections break, and can be made again at once. */
  reset(): void {
    for (const { socket } of this.backhauls.values()) socket.terminate();
  }

  /** Waits until a condition holds; it is looked at whenever something arrives, and every few ms for what the gateway does. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (!condition()) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`cell ${this.id}: never came: ${what}`);
      await this.#news.change(Math.min(left, pollMs));
    }
  }

  messages(): string[] {
    return this.arrivals
      .filter(({ record }) => record.kind === RecordKind.message)
      .map(({ record }) => Buffer.from(record.octets).toString("latin1"));
  }

  ofKind(kind: number): Arrival[] {
    return this.arrivals.filter(({ record }) => record.kind === kind);
  }

  sendMap(map: ClusterMap): void {
    this.map = map;
    for (const control of this.controls) control.send(JSON.stringify({ type: "map", map }));
  }

  /** Says on all backhauls whether it serves, now and after each hello. */
  say(serving: boolean): void {
    this.serving = serving;
    for (const backhaul of this.backhauls.values()) backhaul.send([servingRecord(serving)]);
  }

  sendView(states: Readonly<Record<string, string>>, epoch = 2): void {
    const cells = Object.entries(states).map(([id, state]) => ({ id, state }));
    for (const control of this.controls) control.send(JSON.stringify({ type: "view", view: { epoch, cells, gateways: [] } }));
  }

  #check(request: IncomingMessage): number {
    const [scheme, name = "", to, madeAt = "", nonce = "", bodyHash, signature] = (request.headers.authorization ?? "").split(" ");
    const path = request.url ?? "";
    const purpose = path.slice(1).split("/").join(" ");
    const signed = ["Tandem2", purpose, name, this.id, madeAt, nonce, "GET", path, "-"].join("\n");
    const expected = createHmac("sha256", secret).update(signed).digest("hex");
    const isRight = scheme === "Tandem2" && to === this.id && bodyHash === "-" && signature === expected;
    // Each is good once.
    if (!isRight || Math.abs(Date.now() - Number(madeAt)) > 30_000 || this.#nonces.has(nonce)) return 401;
    this.#nonces.add(nonce);
    return 0;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const status = this.refusesWith === 0 ? this.#check(request) : this.refusesWith;
    if (status !== 0) {
      const said = this.version === undefined ? "" : `${versionHeader}: ${this.version}\r\n`;
      socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n${said}\r\n`);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#accept(webSocket, request.url ?? ""));
  }

  #accept(socket: WebSocket, url: string): void {
    socket.on("error", () => {});
    const exchange = /^\/backhaul\/(\d+)$/.exec(url)?.[1];
    if (exchange === undefined) {
      this.controls.add(socket);
      socket.on("message", (data: Buffer) => {
        const text = data.toString("utf8");
        if (text === "ping") this.#pong(socket);
        else this.#told(JSON.parse(text) as object);
        this.#news.tell();
      });
      if (this.map !== undefined) socket.send(JSON.stringify({ type: "map", map: this.map }));
      return;
    }
    const backhaul = new FakeBackhaul(Number(exchange), socket);
    this.backhauls.set(backhaul.exchange, backhaul);
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.#frame(backhaul, data);
      else this.#pong(socket);
    });
    socket.on("close", () => this.#news.tell());
  }

  #pong(socket: WebSocket): void {
    if (this.pongs) socket.send("pong");
  }

  #told(message: object): void {
    const tally = tallyOf(message);
    if (tally === undefined) this.hellos.push(message);
    else this.tallies.push(tally);
  }

  #frame(backhaul: FakeBackhaul, octets: Buffer): void {
    const frame = decodeFrame(octets);
    if (isFrameError(frame) || (frame.seq !== backhaul.received + 1 && frame.seq !== 0)) {
      backhaul.socket.close(1002);
      return;
    }
    if (frame.seq === 0) {
      backhaul.acknowledged = frame.ack;
      this.#news.tell();
      return;
    }
    this.frameSizes.push(frame.records.length);
    backhaul.acknowledged = frame.ack;
    const answers: FrameRecord[] = [];
    for (const record of frame.records) {
      if (record.kind === RecordKind.hello && this.serving !== undefined) backhaul.send([servingRecord(this.serving)]);
      const arrival = { exchange: backhaul.exchange, record, backhaul };
      this.arrivals.push(arrival);
      answers.push(...this.answer(arrival));
    }
    backhaul.received = frame.seq;
    if (this.acknowledges) {
      backhaul.done = frame.seq;
      if (answers.length > 0) backhaul.send(answers);
      else backhaul.acknowledge();
    }
    this.#news.tell();
  }
}

function servingRecord(isServing: boolean): FrameRecord {
  return { kind: RecordKind.serving, key: isServing ? "1" : "0", octets: new Uint8Array(0) };
}

export function mapOf(cells: readonly FakeCell[], changes: Partial<ClusterMap> = {}): ClusterMap {
  return {
    version: 1,
    cells: cells.map(({ id, url }) => ({ id, url })),
    exchangeCount: 1,
    lineCount: 1,
    domains: [{ name: "example.test", auth: "open" }],
    aliases: [],
    heartbeat: { periodMs: 100, missed: 3 },
    replication: { ackTimeoutMs: 200 },
    flushMs: 1000,
    ...changes,
  };
}

/** What an exchange does that sends every message back where it came from: a mirror. */
export function mirror({ record }: Arrival): readonly FrameRecord[] {
  return record.kind === RecordKind.message ? [{ kind: RecordKind.send, key: record.key, octets: record.octets }] : [];
}
