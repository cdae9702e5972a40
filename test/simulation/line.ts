import { isParseError } from "../../sip/errors.ts";
import { buildResponse } from "../../sip/message/build.ts";
import { parseMessage } from "../../sip/message/sip-message.ts";
import { pairOf } from "../../cluster/map/cluster-map.ts";
import { routingKeyOf } from "../../cluster/map/routing-key.ts";
import { serializeFlowKey } from "../../sip/flow/flow.ts";
import { decodeFrame, encodeFrame, isFrameError, jsonOctets, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { stillWanted } from "../../cluster/backhaul/backlog.ts";
import { isLate } from "../../cluster/time/far-clock.ts";
import { Backhaul } from "../../cluster/backhaul/backhaul.ts";
import { ReplicaChoice } from "../../workers/line/replica-choice.ts";
import { StandstillGate } from "../../workers/line/standstill-gate.ts";
import type { Cell } from "./cell.ts";
import type { End, EndHandlers } from "./network.ts";
import type { Replica } from "./replica.ts";
import { TimelyCalls } from "./timely.ts";
import type { Planned } from "./world.ts";

const nothing = new Uint8Array(0);

type Softphone = { readonly end: End; readonly exchanges: Set<number> };
type Spoken = { readonly key: string; readonly octets: Uint8Array; readonly softphone: Softphone };

/** A line: softphones' connections on one side, both replicas of every exchange on the other (workers/line). */
export class Line {
  readonly access: string;
  readonly #cell: Cell;
  readonly #softphones = new Map<string, Softphone>();
  readonly #links = new Map<string, Link>();
  readonly #choice = new ReplicaChoice();
  readonly #calls: TimelyCalls;
  readonly #gate: StandstillGate<Spoken>;

  constructor(cell: Cell, access: string) {
    this.#cell = cell;
    this.access = access;
    const { host } = cell;
    this.#calls = new TimelyCalls(cell);
    this.#gate = new StandstillGate({
      wentOnAt: (told) => host.soon(() => told(cell.wentOnAt)),
      pass: (message) => this.#receive(message),
      after: (ms, run) => void host.after(ms, run),
      now: () => host.now,
    });
  }

  get isIdle(): boolean {
    return [...this.#links.values()].every((link) => link.isIdle);
  }

  accept(address: string, port: number, end: End): EndHandlers {
    const connection = this.#cell.cluster.random.id();
    const key = serializeFlowKey({ transport: "WS", listener: 0, connection, address, port });
    const softphone = { end, exchanges: new Set<number>() };
    this.#softphones.set(key, softphone);
    return {
      message: (data) =>
        data === "ping" ? end.send("pong") : this.#gate.take({ key, octets: data as Uint8Array, softphone }, this.#cell.host.now),
      closed: () => {
        this.#gate.closed(key);
        this.#softphones.delete(key);
        for (const exchange of softphone.exchanges) this.#offer(exchange, undefined, { kind: RecordKind.closed, key, octets: nothing });
      },
    };
  }

  /** A frame of an exchange; the answer has what could not be delivered. Undefined: it is too late for it. */
  deliver(octets: Uint8Array, until: number): Uint8Array | undefined {
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) throw new Error(frame.frameError);
    if (isLate(until, this.#cell.host.now)) {
      this.#carryOut(stillWanted(frame.records));
      return undefined;
    }
    return encodeFrame(0, 0, this.#carryOut(frame.records));
  }

  #carryOut(records: readonly FrameRecord[]): FrameRecord[] {
    const returned: FrameRecord[] = [];
    for (const { kind, key, octets } of records) {
      if (kind === RecordKind.send) {
        const softphone = this.#softphones.get(key);
        if (softphone?.end.isOpen === true) softphone.end.send(octets);
        else returned.push({ kind: RecordKind.undeliverable, key, octets });
      } else if (kind === RecordKind.closeFlow) this.#softphones.get(key)?.end.close();
      else if (kind === RecordKind.resolve) returned.push({ kind: RecordKind.resolved, key, octets: jsonOctets([]) });
    }
    return returned;
  }

  #receive({ key, octets, softphone }: Spoken): void {
    const route = routingKeyOf(octets, 0, octets.length, this.#cell.cluster.map) ?? { exchange: 0 };
    softphone.exchanges.add(route.exchange);
    this.#offer(route.exchange, route.cell, { kind: RecordKind.message, key, octets });
  }

  #serving(exchange: number): readonly string[] {
    const { primary, secondary } = pairOf(this.#cell.cluster.map, exchange);
    return secondary === this.#cell.id ? [secondary, primary] : [primary, secondary];
  }

  #offer(exchange: number, preferred: string | undefined, record: FrameRecord): void {
    const cells = this.#inOrder(exchange, preferred);
    this.#give(exchange, cells, this.#choice.choose(exchange, cells, record.key, this.#cell.host.now) ?? cells[0], record);
  }

  #inOrder(exchange: number, preferred: string | undefined): readonly string[] {
    const serving = this.#serving(exchange);
    const isPreferred = preferred !== undefined && serving.includes(preferred);
    return isPreferred ? [preferred, ...serving.filter((cell) => cell !== preferred)] : serving;
  }

  #give(exchange: number, cells: readonly string[], cell: string | undefined, record: FrameRecord): void {
    if (cell === undefined) return this.#refuse(record);
    const link = this.#link(exchange, cell);
    if (this.#choice.owesTakeover(exchange, cell, cells)) link.offer({ kind: RecordKind.takeover, key: "", octets: nothing });
    if (!link.offer(record)) return this.#refuse(record);
    this.#choice.given(exchange, cell, cells[0], record.key, link.offered);
  }

  #link(exchange: number, cell: string): Link {
    const name = `${exchange}.${cell}`;
    const known = this.#links.get(name);
    if (known !== undefined) return known;
    const link: Link = new Link(this.#cell, this.#calls, this.access, exchange, cell, {
      received: (records) => {
        this.#choice.answered(exchange, cell, link.settled);
        for (const record of this.#carryOut(records)) link.offer(record);
      },
      failed: (records) => this.#failed(exchange, cell, records),
    });
    this.#links.set(name, link);
    return link;
  }

  #failed(exchange: number, cell: string, records: readonly FrameRecord[]): void {
    const { now } = this.#cell.host;
    this.#cell.host.trace(() => `line ${this.access}: exchange ${exchange} in cell ${cell} is unreachable`);
    const cells = this.#inOrder(exchange, cell);
    this.#choice.failed(exchange, cell, records.some(({ kind }) => kind === RecordKind.takeover) ? cells : [], now);
    for (const record of records) {
      if (record.kind === RecordKind.takeover) continue;
      this.#give(exchange, cells, this.#choice.choose(exchange, cells, record.key, now), record);
    }
  }

  #refuse(record: FrameRecord): void {
    if (record.kind !== RecordKind.message) return;
    const message = parseMessage(record.octets);
    if (isParseError(message) || !message.isRequest || message.method === "ACK") return;
    this.#softphones.get(record.key)?.end.send(buildResponse(message, 503, { headers: [["Retry-After", "5"]] }));
  }
}

type LinkHandlers = { received(records: readonly FrameRecord[]): void; failed(records: readonly FrameRecord[]): void };

/** workers/line/exchange-link.ts: a backhaul with calls in the place of a WebSocket, one at a time to another cell. */
class Link {
  readonly #cell: Cell;
  readonly #access: string;
  readonly #exchange: number;
  readonly #target: string;
  readonly #handlers: LinkHandlers;
  readonly #calls: TimelyCalls;
  readonly #backhaul = new Backhaul();
  #timer: Planned | undefined;
  #connection = 0;
  /** Frames to another cell: the first is under way. */
  #queue: { readonly frame: Uint8Array; readonly connection: number }[] = [];

  constructor(cell: Cell, calls: TimelyCalls, access: string, exchange: number, target: string, handlers: LinkHandlers) {
    this.#cell = cell;
    this.#calls = calls;
    this.#access = access;
    this.#exchange = exchange;
    this.#target = target;
    this.#handlers = handlers;
  }

  get isIdle(): boolean {
    return this.#backhaul.octetsHeld === 0;
  }

  get offered(): number {
    return this.#backhaul.offered;
  }

  get settled(): number {
    return this.#backhaul.settled;
  }

  offer(record: FrameRecord): boolean {
    const { now } = this.#cell.host;
    if (!this.#backhaul.offer(record, now)) return false;
    if (!this.#backhaul.isConnected) {
      this.#connection += 1;
      const hello = { kind: RecordKind.hello, key: this.#access, octets: jsonOctets({ boot: "", listeners: [] }) };
      for (const frame of this.#backhaul.connect(hello, now)) this.#send(frame);
    }
    this.#flush();
    return true;
  }

  #flush(): void {
    const { now } = this.#cell.host;
    for (const frame of this.#backhaul.tick(now)) this.#send(frame);
    if (this.#timer !== undefined) this.#timer.isOff = true;
    const deadline = this.#backhaul.nextDeadline();
    this.#timer = deadline === undefined ? undefined : this.#cell.host.at(Math.max(deadline, now + 1), () => this.#flush());
  }

  #send(frame: Uint8Array): void {
    const connection = this.#connection;
    const { cluster, host } = this.#cell;
    if (this.#target === this.#cell.id) {
      host.soon(() =>
        this.#cell.replica(this.#exchange).takeLineFrame(this.#access, frame, undefined, (answer) => this.#answered(answer, connection)),
      );
      return;
    }
    this.#queue.push({ frame, connection });
    if (this.#queue.length === 1) this.#next(cluster.cell(this.#target));
  }

  #next(target: Cell): void {
    const next = this.#queue[0];
    if (next === undefined) return;
    const over = (answer: Uint8Array | undefined): void => {
      this.#queue.shift();
      this.#answered(answer, next.connection);
      this.#next(target);
    };
    if (next.connection !== this.#connection) {
      this.#queue.shift();
      return this.#next(target);
    }
    const replica = (): Replica => target.replica(this.#exchange);
    this.#calls.bring(target, (until, answer) => replica().takeLineFrame(this.#access, next.frame, until, answer), over);
  }

  #answered(answer: Uint8Array | undefined, connection: number): void {
    if (connection !== this.#connection) return;
    const records = answer === undefined ? undefined : this.#backhaul.receive(answer, this.#cell.host.now);
    if (records === undefined || "frameError" in records) {
      if (records !== undefined) this.#cell.host.threw(new Error(records.frameError));
      this.#connection += 1;
      if (this.#timer !== undefined) this.#timer.isOff = true;
      this.#backhaul.disconnect();
      this.#handlers.failed(this.#backhaul.takeUnacknowledged());
      return;
    }
    this.#handlers.received(records);
    this.#flush();
  }
}
