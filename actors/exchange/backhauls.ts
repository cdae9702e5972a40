import { decodeFrame, encodeFrame, isFrameError, parseJsonOctets, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { isTransport, type Listener } from "../../sip/flow/flow.ts";
import { framesOf } from "./frames-of.ts";
import type { BackhaulSocket, BackhaulState, BootsPort } from "./ports.ts";
import { Unacknowledged } from "./unacknowledged.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** What one frame brought: the access's records, and whether its hello came with it. */
export type BackhaulInput = {
  readonly access: string;
  /** Number of the frame: {@link Backhauls.finish} it. */
  readonly seq: number;
  readonly records: readonly FrameRecord[];
  /** How long a frame to the access was under way and the answer back, ms, if that is known now. */
  readonly roundTripMs?: number | undefined;
  /** Set when the backhaul has just opened. */
  readonly opened?: Opened;
};

export type Opened = {
  readonly listeners: readonly Listener[];
  /** Which start of the access it is. */
  readonly boot: string;
  /** The access was started again, its connections are gone. */
  readonly isNewBoot: boolean;
  /** What it may not have got on the backhaul before. If it did, sent again it is a retransmission for its phones. */
  readonly again: readonly FrameRecord[];
};

/** An access that has no backhaul any more, and what was sent to it last and may not have arrived. */
export type LostBackhaul = { readonly access: string; readonly records: readonly FrameRecord[] };

export type BackhaulError = { readonly backhaulError: string };

/** An exchange's end of one backhaul. */
export class BackhaulEnd {
  readonly socket: BackhaulSocket;
  state: BackhaulState;
  /** Numbers of the frames that are not finished, in their order. */
  readonly unfinished: number[] = [];
  readonly unacknowledged = new Unacknowledged();

  constructor(socket: BackhaulSocket, state: BackhaulState) {
    this.socket = socket;
    this.state = state;
  }

  keep(state: BackhaulState): void {
    this.state = state;
    this.socket.keep(state);
  }

  begin(seq: number): void {
    if (seq !== 0) this.unfinished.push(seq);
  }

  /** Everything before the first frame that is not finished may be acknowledged. */
  release(): void {
    const [first] = this.unfinished;
    const done = first === undefined ? this.state.received : first - 1;
    if (done !== this.state.done) this.keep({ ...this.state, done });
  }
}

/** The exchange's ends of the gateways' backhauls: numbers, acknowledgements, and which one of each gateway counts. */
export class Backhauls {
  readonly #boots: BootsPort;
  /** The backhaul in use of each access: the newest one that said hello. */
  readonly #current = new Map<string, BackhaulEnd>();
  /** All that are open, or have not been told that they are not. */
  readonly #ends = new Set<BackhaulEnd>();

  constructor(boots: BootsPort) {
    this.#boots = boots;
  }

  accept(access: string, socket: BackhaulSocket): BackhaulEnd {
    const state = { boot: undefined, access, listeners: [], sent: 0, received: 0, done: 0, acknowledged: 0, toldServing: undefined };
    const end = new BackhaulEnd(socket, state);
    this.#ends.add(end);
    socket.keep(state);
    return end;
  }

  /** A backhaul that was there before the actor woke. */
  wake(socket: BackhaulSocket, state: BackhaulState, isOpen: boolean): BackhaulEnd {
    const end = new BackhaulEnd(socket, state);
    this.#ends.add(end);
    if (!isOpen || state.boot === undefined) return end;
    this.#current.set(state.access, end);
    end.release();
    return end;
  }

  has(access: string): boolean {
    return this.#current.has(access);
  }

  /** Reads one frame. An error means that the other side is confused: {@link refuse} it. */
  receive(end: BackhaulEnd, octets: Uint8Array, now: SteadyMs): BackhaulInput | BackhaulError {
    const { state } = end;
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) return { backhaulError: frame.frameError };
    const { seq, ack } = frame;
    if (seq !== 0 && seq !== state.received + 1) return { backhaulError: `frame ${seq} after ${state.received}` };
    if (ack > state.sent) return { backhaulError: `acknowledges ${ack} of ${state.sent}` };
    const roundTripMs = end.unacknowledged.acknowledge(ack, now);
    const received = Math.max(state.received, seq);
    if (state.boot !== undefined) {
      end.keep({ ...state, received });
      end.begin(seq);
      return { access: state.access, seq, records: frame.records, roundTripMs };
    }
    const [first, ...records] = frame.records;
    const hello = first === undefined ? undefined : readHello(first);
    if (first === undefined || hello === undefined) return { backhaulError: "the first record is no hello" };
    if (first.key !== state.access) return { backhaulError: `hello from ${first.key} on a backhaul of ${state.access}` };
    end.keep({ ...state, ...hello, received });
    end.begin(seq);
    const opened = { listeners: hello.listeners, boot: hello.boot, ...this.#replace(end, hello.boot, now) };
    return { access: state.access, seq, records, opened };
  }

  /** What came of a frame is done and committed: it may be acknowledged, as soon as all before it may. */
  finish(end: BackhaulEnd, seq: number): void {
    const index = end.unfinished.indexOf(seq);
    if (index < 0) return;
    end.unfinished.splice(index, 1);
    if (index === 0) end.release();
  }

  /** Acknowledges on every backhaul what may be acknowledged and is not yet. */
  acknowledge(now: SteadyMs): void {
    for (const access of this.#current.keys()) this.send(access, [], now);
  }

  /** Tells an access whether this replica serves, unless it knows; undefined: all of them. */
  tellServing(isServing: boolean, now: SteadyMs, access?: string): void {
    for (const each of access === undefined ? [...this.#current.keys()] : [access]) {
      const end = this.#current.get(each);
      if (end === undefined || end.state.toldServing === isServing) continue;
      end.keep({ ...end.state, toldServing: isServing });
      this.send(each, [{ kind: RecordKind.serving, key: isServing ? "1" : "0", octets: new Uint8Array(0) }], now);
    }
  }

  /**
   * Sends records to an access, if its backhaul is open; in the rule one frame. Every frame acknowledges what is released: call it with no
   * records to acknowledge only, if there is anything to acknowledge.
   */
  send(access: string, records: readonly FrameRecord[], now: SteadyMs): boolean {
    const end = this.#current.get(access);
    if (end === undefined) return false;
    const { socket, state } = end;
    let { sent } = state;
    if (records.length === 0 && state.acknowledged !== state.done && !socket.send(encodeFrame(0, state.done, records))) return false;
    for (const some of framesOf(records)) {
      sent += 1;
      if (!socket.send(encodeFrame(sent, state.done, some))) return false;
      end.unacknowledged.add(sent, some, now);
    }
    if (sent !== state.sent || state.acknowledged !== state.done) end.keep({ ...state, sent, acknowledged: state.done });
    return true;
  }

  /** Closes a backhaul: 1002 when its other side broke the protocol, 1013 when this one cannot take more. */
  refuse(end: BackhaulEnd, reason: string, code: number, now: SteadyMs): LostBackhaul | undefined {
    end.socket.close(code, reason);
    return this.closed(end, now);
  }

  /** Closes all of them, with this code: nobody is served here any more. */
  closeAll(code: number, reason: string): void {
    for (const { socket } of this.#ends) socket.close(code, reason);
    this.#ends.clear();
    this.#current.clear();
  }

  /** The socket is gone. The access that is without a backhaul now, if it is. */
  closed(end: BackhaulEnd, now: SteadyMs): LostBackhaul | undefined {
    this.#ends.delete(end);
    const { access } = end.state;
    if (this.#current.get(access) !== end) return undefined;
    this.#current.delete(access);
    return { access, records: end.unacknowledged.take(now) };
  }

  /**
   * Puts a backhaul in the place of the access's last one. Says whether the access was started anew since. The last boot is on disk, for its backhaul
   * closes first, and this object may have slept since.
   */
  #replace(end: BackhaulEnd, boot: string, now: SteadyMs): Pick<Opened, "isNewBoot" | "again"> {
    const { access } = end.state;
    const isNewBoot = this.#boots.of(access) !== boot;
    if (isNewBoot) this.#boots.keep(access, boot);
    this.#current.set(access, end);
    const again: FrameRecord[] = [];
    for (const other of this.#ends) {
      if (other === end || other.state.access !== access) continue;
      again.push(...other.unacknowledged.take(now));
      other.socket.close(4001, "replaced by a newer backhaul");
    }
    return { isNewBoot, again };
  }
}

export function isBackhaulError(input: BackhaulInput | BackhaulError): input is BackhaulError {
  return "backhaulError" in input;
}

function readHello(record: FrameRecord): { readonly boot: string; readonly listeners: readonly Listener[] } | undefined {
  if (record.kind !== RecordKind.hello) return undefined;
  const hello = parseJsonOctets(record.octets);
  if (typeof hello !== "object" || hello === null || !("boot" in hello) || !("listeners" in hello)) return undefined;
  const { boot, listeners } = hello;
  if (typeof boot !== "string" || !Array.isArray(listeners) || !listeners.every(isListener)) return undefined;
  return { boot, listeners };
}

function isListener(value: unknown): value is Listener {
  if (typeof value !== "object" || value === null || !("transport" in value) || !("host" in value) || !("port" in value)) return false;
  return isTransport(value.transport) && typeof value.host === "string" && typeof value.port === "number";
}
