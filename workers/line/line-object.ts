import { DurableObject } from "cloudflare:workers";
import { isParseError } from "../../sip/errors.ts";
import { messageOctetsMax, retryAfterSeconds } from "../../sip/limits.ts";
import { buildResponse } from "../../sip/message/build.ts";
import { parseMessage } from "../../sip/message/sip-message.ts";
import type { ClusterMap } from "../../sip/placement/cluster-map.ts";
import { routingKeyOf } from "../../sip/placement/routing-key.ts";
import { lineOf } from "../../sip/transport/flow.ts";
import { decodeFrame, encodeFrame, isFrameError, jsonOctets, RecordKind, type FrameRecord } from "../../sip/transport/frame.ts";
import { fnv1a } from "../../sip/transport/token.ts";
import { callCell, servingCells } from "../cells.ts";
import { clusterMapOf, exchangeName, numberOfName, type Environment } from "../environment.ts";
import { drainHoldMs, drainPortion, frameAnswerMsMax, socketMessagesPerSecondMax, unreachableMs } from "../limits.ts";
import { randomIds } from "../random-id.ts";
import { ExchangeLink } from "./exchange-link.ts";
import { Softphones } from "./softphones.ts";

const crlfcrlf = 4;

/**
 * A pipe between softphones' WebSockets and exchanges, without call state: what a gateway is to phones. A message goes to the exchange
 * that its routing key names; what exchanges send goes to the flow that they name.
 */
export class LineObject extends DurableObject<Environment> {
  readonly #map: ClusterMap;
  readonly #access: string;
  readonly #softphones: Softphones;
  /** By `<exchange>.<cell>`. */
  readonly #links = new Map<string, ExchangeLink>();
  /** Replicas that could not be reached, and when they may be tried again, ms. */
  readonly #unreachable = new Map<string, number>();
  /** No new softphones before this, ms. */
  #fullUntil = 0;

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env);
    this.#map = clusterMapOf(env);
    this.#access = lineOf(env.CELL, numberOfName(ctx.id));
    this.#softphones = new Softphones(ctx, randomIds());
  }

  override fetch(request: Request): Response {
    if (Date.now() < this.#fullUntil) {
      const text = `Cell ${this.env.CELL} is out of service: connect to another one.\n`;
      return new Response(text, { status: 503, headers: { "retry-after": String(retryAfterSeconds) } });
    }
    return this.#softphones.accept(request);
  }

  override webSocketMessage(socket: WebSocket, data: ArrayBuffer | string): void {
    const octets = typeof data === "string" ? utf8(data) : new Uint8Array(data);
    if (octets === undefined || octets.length > messageOctetsMax) {
      socket.close(1009, `a SIP message has at most ${messageOctetsMax} octets`);
      return;
    }
    const now = Date.now();
    if (!this.#softphones.mayReceive(socket, now)) {
      socket.close(1008, `more than ${socketMessagesPerSecondMax} messages a second`);
      return;
    }
    if (octets.length <= crlfcrlf && octets.every((octet) => octet === 0x0d || octet === 0x0a)) {
      if (octets.length === crlfcrlf) this.#softphones.answerKeepAlive(socket);
      return;
    }
    this.#toExchange(socket, octets, now);
  }

  override webSocketClose(socket: WebSocket): void {
    const record = { kind: RecordKind.closed, key: this.#softphones.flowKeyOf(socket), octets: new Uint8Array(0) };
    for (const exchange of this.#softphones.exchangesOf(socket)) this.#offer(exchange, undefined, record, Date.now());
  }

  override webSocketError(socket: WebSocket): void {
    this.webSocketClose(socket);
  }

  /**
   * This cell is out of service: closes some WebSockets, so that their softphones connect elsewhere, and takes no new ones until
   * {@link drainHoldMs} after it was last told so. Those come last that have had a message within `quietMs`. Returns how many are left.
   */
  sendElsewhere(quietMs: number): number {
    const now = Date.now();
    this.#fullUntil = now + drainHoldMs;
    return this.#softphones.closeSome(drainPortion, quietMs, now);
  }

  /** This cell is in service again. */
  takeSoftphones(): void {
    this.#fullUntil = 0;
  }

  /** A frame from an exchange. The answer brings back what could not be delivered. */
  deliver(octets: Uint8Array): Uint8Array {
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) throw new Error(`frame to line ${this.#access}: ${frame.frameError}`);
    return encodeFrame(0, 0, this.#carryOut(frame.records));
  }

  /** Writes to softphones. Returns what could not be delivered. */
  #carryOut(records: readonly FrameRecord[]): FrameRecord[] {
    const returned: FrameRecord[] = [];
    for (const { kind, key, octets } of records) {
      if (kind === RecordKind.send) {
        if (!this.#softphones.send(key, octets)) returned.push({ kind: RecordKind.undeliverable, key, octets });
      } else if (kind === RecordKind.closeFlow) {
        this.#softphones.close(key, 1000, "closed by the registrar");
      } else if (kind === RecordKind.resolve) {
        // A line has no way to addresses outside.
        returned.push({ kind: RecordKind.resolved, key, octets: jsonOctets([]) });
      }
    }
    return returned;
  }

  #toExchange(socket: WebSocket, octets: Uint8Array, now: number): void {
    const flowKey = this.#softphones.flowKeyOf(socket);
    // Any exchange answers junk; one softphone's always goes to the same.
    const key = routingKeyOf(octets, 0, octets.length, this.#map) ?? { exchange: fnv1a(flowKey) % this.#map.exchangeCount };
    this.#softphones.remember(socket, key.exchange);
    this.#offer(key.exchange, key.cell, { kind: RecordKind.message, key: flowKey, octets }, now);
  }

  /** Gives a record to the first replica that can be reached: the one that the routing key names, then this cell's own, then as the map says. */
  #offer(exchange: number, preferredCell: string | undefined, record: FrameRecord, now: number): void {
    const serving = servingCells(this.#map, exchange, this.env.CELL);
    const isPreferred = preferredCell !== undefined && serving.includes(preferredCell);
    const cells = isPreferred ? [preferredCell, ...serving.filter((cell) => cell !== preferredCell)] : serving;
    const reachable = cells.find((cell) => (this.#unreachable.get(linkName(exchange, cell)) ?? 0) <= now);
    const cell = reachable ?? cells[0];
    if (cell === undefined || !this.#linkTo(exchange, cell).offer(record, now)) this.#refuse(record);
  }

  #linkTo(exchange: number, cell: string): ExchangeLink {
    const name = linkName(exchange, cell);
    const known = this.#links.get(name);
    if (known !== undefined) return known;
    const link = new ExchangeLink({
      access: this.#access,
      call: (frame) => this.#call(exchange, cell, frame),
      isUnordered: cell !== this.env.CELL,
      received: (records) => {
        this.#unreachable.delete(name);
        const returned = this.#carryOut(records);
        const now = Date.now();
        for (const record of returned) link.offer(record, now);
      },
      failed: (records) => this.#failed(exchange, cell, records),
    });
    this.#links.set(name, link);
    return link;
  }

  async #call(exchange: number, cell: string, frame: Uint8Array): Promise<Uint8Array> {
    if (cell === this.env.CELL) return await this.env.EXCHANGE.getByName(exchangeName(exchange)).takeLineFrame(this.#access, frame);
    return await callCell(this.env, this.#map, cell, `/cell/exchange/${exchange}?access=${this.#access}`, frame, frameAnswerMsMax);
  }

  /** A replica is away: what it has not taken goes to the other one, unless that is away too. */
  #failed(exchange: number, cell: string, records: readonly FrameRecord[]): void {
    const now = Date.now();
    this.#unreachable.set(linkName(exchange, cell), now + unreachableMs);
    const serving = servingCells(this.#map, exchange, this.env.CELL);
    const other = serving.find((each) => (this.#unreachable.get(linkName(exchange, each)) ?? 0) <= now);
    // What that one had in progress for this line's phones is for the other to take over, before they say anything again.
    if (other !== undefined) this.#linkTo(exchange, other).offer({ kind: RecordKind.takeover, key: "", octets: new Uint8Array(0) }, now);
    for (const record of records) {
      if (other === undefined || !this.#linkTo(exchange, other).offer(record, now)) this.#refuse(record);
    }
  }

  /** RFC 3261 21.5.4: nobody can take this request now. What is no request is dropped; its sender will say it again. */
  #refuse(record: FrameRecord): void {
    if (record.kind !== RecordKind.message) return;
    const message = parseMessage(record.octets);
    if (isParseError(message) || !message.isRequest || message.method === "ACK") return;
    this.#softphones.send(record.key, buildResponse(message, 503, { headers: [["Retry-After", String(retryAfterSeconds)]] }));
  }
}

function linkName(exchange: number, cell: string): string {
  return `${exchange}.${cell}`;
}

/** Text as octets; undefined when it is too long for a message whatever its characters are. */
function utf8(text: string): Uint8Array | undefined {
  return text.length > messageOctetsMax ? undefined : new TextEncoder().encode(text);
}
