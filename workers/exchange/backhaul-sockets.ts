import { isTransport, type Listener } from "../../sip/flow/flow.ts";
import { decodeFrame, encodeFrame, isFrameError, parseJsonOctets, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { closeQuietly } from "../close-socket.ts";
import type { DiskRoom } from "../disk-room.ts";
import { framesOf } from "./frames-of.ts";
import { Unacknowledged } from "./unacknowledged.ts";

/**
 * The gateways' ends of their backhauls. What a woken object must know of a backhaul is kept in its WebSocket's attachment: writing one
 * costs less than a microsecond, so it is written with every frame.
 */

type BackhaulState = {
  /** Undefined until the hello. */
  readonly boot: string | undefined;
  readonly access: string;
  readonly listeners: readonly Listener[];
  /** Numbers of the last frame sent and received. */
  readonly sent: number;
  readonly received: number;
  /** The last frame that may be acknowledged: all that came of it is committed. */
  readonly done: number;
  /** The last acknowledgement sent. */
  readonly acknowledged: number;
  /** Whether it was told last that this replica serves; undefined: nothing yet. */
  readonly toldServing: boolean | undefined;
};

/** What one frame brought: the access's records, and whether its hello came with it. */
export type BackhaulInput = {
  readonly access: string;
  /** Number of the frame: {@link BackhaulSockets.finish} it. */
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

/** One row. */
const bootOctets = 4_096;

export class BackhaulSockets {
  readonly #ctx: DurableObjectState;
  readonly #room: DiskRoom;
  /** Boots that were met since this object woke: the disk may not know them yet. */
  readonly #boots = new Map<string, string>();
  /** The backhaul in use of each access: the newest one that said hello. */
  readonly #current = new Map<string, WebSocket>();
  readonly #states = new WeakMap<WebSocket, BackhaulState>();
  /** Numbers of the frames that are not finished, in their order. */
  readonly #unfinished = new WeakMap<WebSocket, number[]>();
  readonly #unacknowledged = new WeakMap<WebSocket, Unacknowledged>();

  constructor(ctx: DurableObjectState, room: DiskRoom) {
    this.#ctx = ctx;
    this.#room = room;
    // A gateway's pings are answered by the runtime: they neither wake this object nor are billed.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    for (const socket of ctx.getWebSockets()) {
      const state = this.#stateOf(socket);
      if (socket.readyState !== WebSocket.OPEN || state?.boot === undefined) continue;
      this.#current.set(state.access, socket);
      this.#finished(socket, state);
    }
  }

  /** The backhauls found when the object woke up. */
  *opened(): IterableIterator<{ readonly access: string; readonly listeners: readonly Listener[] }> {
    for (const socket of this.#current.values()) {
      const state = this.#stateOf(socket);
      if (state !== undefined) yield state;
    }
  }

  accept(access: string): Response {
    const pair = new WebSocketPair();
    this.#ctx.acceptWebSocket(pair[1], [access]);
    this.#keep(pair[1], { boot: undefined, access, listeners: [], sent: 0, received: 0, done: 0, acknowledged: 0, toldServing: undefined });
    return new Response(null, { status: 101, webSocket: pair[0] });
  }

  has(access: string): boolean {
    return this.#current.has(access);
  }

  /** Reads one WebSocket message. An error means that the other side is confused: {@link refuse} it. */
  receive(socket: WebSocket, data: ArrayBuffer | string): BackhaulInput | BackhaulError {
    if (typeof data === "string") return { backhaulError: "text on a backhaul" };
    const state = this.#stateOf(socket);
    if (state === undefined) return { backhaulError: "a backhaul without a name" };
    const frame = decodeFrame(new Uint8Array(data));
    if (isFrameError(frame)) return { backhaulError: frame.frameError };
    if (frame.seq !== 0 && frame.seq !== state.received + 1) return { backhaulError: `frame ${frame.seq} after ${state.received}` };
    if (frame.ack > state.sent) return { backhaulError: `acknowledges ${frame.ack} of ${state.sent}` };
    const roundTripMs = this.#unacknowledged.get(socket)?.acknowledge(frame.ack, Date.now());
    const { seq } = frame;
    const received = Math.max(state.received, seq);
    if (state.boot !== undefined) {
      this.#keep(socket, { ...state, received });
      this.#begin(socket, seq);
      return { access: state.access, seq, records: frame.records, roundTripMs };
    }
    const [first, ...records] = frame.records;
    const hello = first === undefined ? undefined : readHello(first);
    if (first === undefined || hello === undefined) return { backhaulError: "the first record is no hello" };
    if (first.key !== state.access) return { backhaulError: `hello from ${first.key} on a backhaul of ${state.access}` };
    this.#keep(socket, { ...state, ...hello, received });
    this.#begin(socket, seq);
    return {
      access: state.access,
      seq,
      records,
      opened: { listeners: hello.listeners, boot: hello.boot, ...this.#replace(socket, hello.boot) },
    };
  }

  /** What came of a frame is done and committed: it may be acknowledged, as soon as all before it may. */
  finish(socket: WebSocket, seq: number): void {
    const state = this.#stateOf(socket);
    const unfinished = this.#unfinished.get(socket);
    const index = unfinished?.indexOf(seq) ?? -1;
    if (state === undefined || unfinished === undefined || index < 0) return;
    unfinished.splice(index, 1);
    if (index === 0) this.#finished(socket, state);
  }

  /** Acknowledges on every backhaul what may be acknowledged and is not yet. */
  acknowledge(): void {
    for (const access of this.#current.keys()) this.send(access, []);
  }

  /** Tells an access whether this replica serves, unless it knows; undefined: all of them. */
  tellServing(isServing: boolean, access?: string): void {
    for (const each of access === undefined ? [...this.#current.keys()] : [access]) {
      const socket = this.#current.get(each);
      const state = socket === undefined ? undefined : this.#stateOf(socket);
      if (socket === undefined || state === undefined || state.toldServing === isServing) continue;
      this.#keep(socket, { ...state, toldServing: isServing });
      this.send(each, [{ kind: RecordKind.serving, key: isServing ? "1" : "0", octets: new Uint8Array(0) }]);
    }
  }

  /**
   * Sends records to an access, if its backhaul is open; in the rule one frame. Every frame acknowledges what is released: call it with no
   * records to acknowledge only, if there is anything to acknowledge.
   */
  send(access: string, records: readonly FrameRecord[]): boolean {
    const socket = this.#current.get(access);
    const state = socket === undefined ? undefined : this.#stateOf(socket);
    if (socket === undefined || state === undefined) return false;
    let { sent } = state;
    try {
      if (records.length === 0 && state.acknowledged !== state.done) socket.send(encodeFrame(0, state.done, records));
      for (const some of framesOf(records)) {
        sent += 1;
        socket.send(encodeFrame(sent, state.done, some));
        this.#remember(socket, sent, some);
      }
    } catch {
      // The socket died and its close event has not come yet.
      return false;
    }
    if (sent !== state.sent || state.acknowledged !== state.done) this.#keep(socket, { ...state, sent, acknowledged: state.done });
    return true;
  }

  /** Closes a backhaul: 1002 when its other side broke the protocol, 1013 when this one cannot take more. */
  refuse(socket: WebSocket, reason: string, code = 1002): LostBackhaul | undefined {
    closeQuietly(socket, code, reason);
    return this.closed(socket);
  }

  /** The socket is gone. The access that is without a backhaul now, if it is. */
  closed(socket: WebSocket): LostBackhaul | undefined {
    const access = this.#stateOf(socket)?.access;
    if (access === undefined || this.#current.get(access) !== socket) return undefined;
    this.#current.delete(access);
    return { access, records: this.#takeUnacknowledged(socket) };
  }

  /**
   * Puts a backhaul in the place of the access's last one. Says whether the access was started anew since: the last boot is on disk, for its
   * backhaul closes first, and this object may have slept since.
   */
  #replace(socket: WebSocket, boot: string): Pick<Opened, "isNewBoot" | "again"> {
    const access = this.#stateOf(socket)?.access ?? "";
    const { kv } = this.#ctx.storage;
    const isNewBoot = (this.#boots.get(access) ?? kv.get<string>(`boot ${access}`)) !== boot;
    if (isNewBoot) {
      this.#boots.set(access, boot);
      this.#room.write(bootOctets, () => kv.put(`boot ${access}`, boot));
    }
    this.#current.set(access, socket);
    const again: FrameRecord[] = [];
    for (const other of this.#ctx.getWebSockets(access)) {
      if (other === socket) continue;
      again.push(...this.#takeUnacknowledged(other));
      closeQuietly(other, 4001, "replaced by a newer backhaul");
    }
    return { isNewBoot, again };
  }

  #remember(socket: WebSocket, seq: number, records: readonly FrameRecord[]): void {
    let unacknowledged = this.#unacknowledged.get(socket);
    if (unacknowledged === undefined) this.#unacknowledged.set(socket, (unacknowledged = new Unacknowledged()));
    unacknowledged.add(seq, records, Date.now());
  }

  #takeUnacknowledged(socket: WebSocket): FrameRecord[] {
    return this.#unacknowledged.get(socket)?.take(Date.now()) ?? [];
  }

  #begin(socket: WebSocket, seq: number): void {
    if (seq === 0) return;
    const unfinished = this.#unfinished.get(socket);
    if (unfinished === undefined) this.#unfinished.set(socket, [seq]);
    else unfinished.push(seq);
  }

  #finished(socket: WebSocket, state: BackhaulState): void {
    const first = this.#unfinished.get(socket)?.[0];
    const done = first === undefined ? state.received : first - 1;
    if (done !== state.done) this.#keep(socket, { ...state, done });
  }

  #stateOf(socket: WebSocket): BackhaulState | undefined {
    const known = this.#states.get(socket);
    if (known !== undefined) return known;
    const attached = socket.deserializeAttachment() as BackhaulState | null;
    if (attached === null) return undefined;
    this.#states.set(socket, attached);
    return attached;
  }

  #keep(socket: WebSocket, state: BackhaulState): void {
    this.#states.set(socket, state);
    socket.serializeAttachment(state);
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
