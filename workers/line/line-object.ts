import { DurableObject } from "cloudflare:workers";
import { isParseError } from "../../sip/errors.ts";
import { messageOctetsMax, retryAfterSeconds } from "../../sip/limits.ts";
import { buildResponse } from "../../sip/message/build.ts";
import { parseMessage } from "../../sip/message/sip-message.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { routingKeyOf } from "../../cluster/map/routing-key.ts";
import { stillWanted } from "../../cluster/backhaul/backlog.ts";
import { isLate } from "../../cluster/time/far-clock.ts";
import { lineOf } from "../../sip/flow/flow.ts";
import { decodeFrame, encodeFrame, isFrameError, jsonOctets, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { fnv1a } from "../../sip/flow/token.ts";
import { servingCells, within } from "../cells.ts";
import { answerClose } from "../close-socket.ts";
import { clusterMapOf, coreGroupName, exchangeName, numberOfName, type Environment } from "../environment.ts";
import { drainHoldMs, drainPortion, firstMessageMs, socketMessagesPerSecondMax, standstillWaitMs } from "../limits.ts";
import { randomIds } from "../random-id.ts";
import { TimelyCalls } from "../timely-calls.ts";
import { ExchangeLink } from "./exchange-link.ts";
import { ReplicaChoice } from "./replica-choice.ts";
import { shareOf, SoftphoneShare } from "./softphone-share.ts";
import { Softphones } from "./softphones.ts";
import { StandstillGate } from "./standstill-gate.ts";

/** A message of a softphone's. */
type Spoken = { readonly key: string; readonly octets: Uint8Array; readonly socket: WebSocket };

const crlfcrlf = 4;

/**
 * A pipe between softphones' WebSockets and exchanges, without call state: what a gateway is to phones. A message goes to the exchange
 * that its routing key names; what exchanges send goes to the flow that they name.
 */
export class LineObject extends DurableObject<Environment> {
  readonly #map: ClusterMap;
  readonly #access: string;
  readonly #softphones: Softphones;
  readonly #share: SoftphoneShare;
  /** By `<exchange>.<cell>`. */
  readonly #links = new Map<string, ExchangeLink>();
  readonly #choice = new ReplicaChoice();
  readonly #calls: TimelyCalls;
  readonly #gate: StandstillGate<Spoken>;
  /** No new softphones before this, ms. */
  #fullUntil = 0;
  /** When it will be looked for those that say nothing, ms; 0: not, for all that this start knows. */
  #alarmAt = 0;

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env);
    this.#map = clusterMapOf(env);
    this.#access = lineOf(env.CELL, numberOfName(ctx.id));
    this.#softphones = new Softphones(ctx, randomIds());
    this.#share = new SoftphoneShare(shareOf(env.SOFTPHONES_MAX, this.#map.lineCount), () => ctx.getWebSockets().length);
    this.#calls = new TimelyCalls(env, this.#map);
    this.#gate = new StandstillGate({
      wentOnAt: (told) => void this.#wentOnAt().then(told),
      pass: (message) => this.#toExchange(message, Date.now()),
      after: (ms, run) => void setTimeout(run, ms),
      now: () => Date.now(),
    });
  }

  /** Takes a softphone's WebSocket, or answers 503 with Retry-After (RFC 9110 15.6.4): it is to connect to another cell, or later. */
  override fetch(request: Request): Response {
    const now = Date.now();
    if (now < this.#fullUntil) return unavailable(`Cell ${this.env.CELL} is out of service: connect to another one.`);
    if (!this.#softphones.mayCome(request))
      return unavailable(`Cell ${this.env.CELL} has too many from your address that do not register.`);
    if (!this.#share.take(now) && !this.#softphones.makeRoomFor(request))
      return unavailable(`Cell ${this.env.CELL} has no room for another softphone: connect to another one, or later.`);
    const response = this.#softphones.accept(request);
    this.#lookForSilentAt(now + firstMessageMs);
    return response;
  }

  /** Some have been here for a while: those that have said nothing are closed. */
  override alarm(): void {
    this.#alarmAt = 0;
    const now = Date.now();
    if (this.#softphones.closeSilent(now)) this.#lookForSilentAt(now + firstMessageMs);
  }

  #lookForSilentAt(at: number): void {
    if (this.#alarmAt > 0) return;
    this.#alarmAt = at;
    // Without a disk that takes it nobody is looked for: it is only for order.
    void this.ctx.storage.setAlarm(at).catch(() => undefined);
  }

  /** Does nothing else. */
  stayAwake(): void {}

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
    this.#softphones.heard(socket, octets);
    this.#gate.take({ key: this.#softphones.flowKeyOf(socket), octets, socket }, now);
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    answerClose(socket, code, reason);
    this.webSocketError(socket);
  }

  override webSocketError(socket: WebSocket): void {
    const key = this.#softphones.flowKeyOf(socket);
    this.#softphones.ended(socket);
    this.#gate.closed(key);
    const record = { kind: RecordKind.closed, key, octets: new Uint8Array(0) };
    for (const exchange of this.#softphones.exchangesOf(socket)) this.#offer(exchange, undefined, record, Date.now());
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

  /**
   * A frame from an exchange. The answer brings back what could not be delivered. Undefined: it came after this time (ms), and the exchange has
   * given it up; no new request of it was delivered.
   */
  deliver(octets: Uint8Array, until?: number): Uint8Array | undefined {
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) throw new Error(`frame to line ${this.#access}: ${frame.frameError}`);
    if (isLate(until, Date.now())) {
      this.#carryOut(stillWanted(frame.records));
      return undefined;
    }
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

  #toExchange({ key: flowKey, octets, socket }: Spoken, now: number): void {
    // Any exchange answers junk; one softphone's always goes to the same.
    const key = routingKeyOf(octets, 0, octets.length, this.#map) ?? { exchange: fnv1a(flowKey) % this.#map.exchangeCount };
    this.#softphones.remember(socket, key.exchange);
    this.#offer(key.exchange, key.cell, { kind: RecordKind.message, key: flowKey, octets }, now);
  }

  /** Gives a record to the first replica that can be reached: the one that the routing key names, then this cell's own, then as the map says. */
  #offer(exchange: number, preferredCell: string | undefined, record: FrameRecord, now: number): void {
    const cells = this.#inOrder(exchange, preferredCell);
    this.#give(exchange, cells, this.#choice.choose(exchange, cells, record.key, now) ?? cells[0], record, now);
  }

  #inOrder(exchange: number, preferredCell: string | undefined): readonly string[] {
    const serving = servingCells(this.#map, exchange, this.env.CELL);
    const isPreferred = preferredCell !== undefined && serving.includes(preferredCell);
    return isPreferred ? [preferredCell, ...serving.filter((cell) => cell !== preferredCell)] : serving;
  }

  #give(exchange: number, cells: readonly string[], cell: string | undefined, record: FrameRecord, now: number): void {
    if (cell === undefined) return this.#refuse(record);
    const link = this.#linkTo(exchange, cell);
    // What a lost one had in progress for this line's phones is to be taken over before they say anything again.
    if (this.#choice.owesTakeover(exchange, cell, cells))
      link.offer({ kind: RecordKind.takeover, key: "", octets: new Uint8Array(0) }, now);
    if (!link.offer(record, now)) return this.#refuse(record);
    this.#choice.given(exchange, cell, cells[0], record.key, link.offered);
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
        this.#choice.answered(exchange, cell, link.settled);
        const returned = this.#carryOut(records);
        const now = Date.now();
        for (const record of returned) link.offer(record, now);
      },
      failed: (records) => this.#failed(exchange, cell, records),
    });
    this.#links.set(name, link);
    return link;
  }

  async #wentOnAt(): Promise<number> {
    try {
      return await within(this.env.CORE_GROUP.getByName(coreGroupName).wentOnAt(), standstillWaitMs);
    } catch (error) {
      console.warn(`line ${this.#access}: the core group does not say whether this cell stood still: ${String(error)}`);
      return 0;
    }
  }

  async #call(exchange: number, cell: string, frame: Uint8Array): Promise<Uint8Array> {
    if (cell === this.env.CELL) return await this.#callHere(exchange, frame);
    return await this.#calls.bring(cell, `/cell/exchange/${exchange}?access=${this.#access}`, frame);
  }

  /** Within the cell nothing is given up, so that nothing can come too late. */
  async #callHere(exchange: number, frame: Uint8Array): Promise<Uint8Array> {
    const answer = await this.env.EXCHANGE.getByName(exchangeName(exchange)).takeLineFrame(this.#access, frame);
    if (answer === undefined) throw new Error(`exchange ${exchange} does not take what may come at any time`);
    return answer;
  }

  /** A replica is away: what it has not taken goes to the other one, unless that is away too. */
  #failed(exchange: number, cell: string, records: readonly FrameRecord[]): void {
    const now = Date.now();
    const cells = this.#inOrder(exchange, cell);
    const isUntold = records.some(({ kind }) => kind === RecordKind.takeover);
    this.#choice.failed(exchange, cell, isUntold ? cells : [], now);
    for (const record of records) {
      if (record.kind === RecordKind.takeover) continue;
      this.#give(exchange, cells, this.#choice.choose(exchange, cells, record.key, now), record, now);
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

function unavailable(text: string): Response {
  return new Response(`${text}\n`, { status: 503, headers: { "retry-after": String(retryAfterSeconds) } });
}

function linkName(exchange: number, cell: string): string {
  return `${exchange}.${cell}`;
}

/** Text as octets; undefined when it is too long for a message whatever its characters are. */
function utf8(text: string): Uint8Array | undefined {
  return text.length > messageOctetsMax ? undefined : new TextEncoder().encode(text);
}
