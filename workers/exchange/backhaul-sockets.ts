import type { BackhaulEnd } from "../../actors/exchange/backhauls.ts";
import type { BackhaulSocket, BackhaulState } from "../../actors/exchange/ports.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { memberOf } from "../../cluster/map/members.ts";
import { closeQuietly, strangerCode, strangerText } from "../close-socket.ts";

const resolved = Promise.resolve();

/**
 * The WebSockets of backhauls. What a woken object must know of a backhaul is kept in its WebSocket's attachment. It is written once an event, in the
 * microtask after it: an object does not sleep before that. A list takes less than a microsecond, an object with its fields by name more than twice as
 * much.
 */
export class BackhaulSockets {
  readonly #ctx: DurableObjectState;
  readonly #ends = new WeakMap<WebSocket, BackhaulEnd>();

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
    // A gateway's pings are answered by the runtime: they neither wake this object nor are billed.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  }

  /** Hands over the backhauls that were there before this object woke. */
  wake(take: (socket: BackhaulSocket, state: BackhaulState, isOpen: boolean) => BackhaulEnd): void {
    for (const socket of this.#ctx.getWebSockets()) {
      const kept = socket.deserializeAttachment() as Kept | null;
      const state = kept === null ? undefined : stateOf(kept);
      if (state !== undefined) this.#ends.set(socket, take(new OneSocket(socket), state, socket.readyState === WebSocket.OPEN));
    }
  }

  accept(access: string, take: (access: string, socket: BackhaulSocket) => BackhaulEnd): Response {
    const pair = new WebSocketPair();
    this.#ctx.acceptWebSocket(pair[1], [access]);
    this.#ends.set(pair[1], take(access, new OneSocket(pair[1])));
    return new Response(null, { status: 101, webSocket: pair[0] });
  }

  /** Closes those of gateways that are members no more, and says which. Lines end with their cell. */
  closeStrangers(map: ClusterMap): readonly BackhaulEnd[] {
    if (map.authority === undefined) return [];
    return this.#ctx.getWebSockets().flatMap((socket) => {
      const end = this.#ends.get(socket);
      if (end === undefined || end.state.access.includes(".") || memberOf(map, end.state.access) !== undefined) return [];
      closeQuietly(socket, strangerCode, strangerText);
      return [end];
    });
  }

  /** Undefined: nobody knows whose it is. */
  endOf(socket: WebSocket): BackhaulEnd | undefined {
    return this.#ends.get(socket);
  }
}

/** What does not change after the hello, as one text, and the rest. */
type Kept = readonly [
  lasting: string,
  sent: number,
  received: number,
  done: number,
  acknowledged: number,
  toldServing: boolean | undefined,
];
type Lasting = Pick<BackhaulState, "boot" | "access" | "listeners">;

function stateOf([text, sent, received, done, acknowledged, toldServing]: Kept): BackhaulState {
  // This script has written it, before it slept.
  const { boot, access, listeners } = JSON.parse(text) as Lasting;
  return { boot, access, listeners, sent, received, done, acknowledged, toldServing };
}

class OneSocket implements BackhaulSocket {
  readonly #socket: WebSocket;
  /** What is to be kept and is not yet. */
  #state: BackhaulState | undefined;
  #lasting: Lasting | undefined;
  #text = "";

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  send(frame: Uint8Array): boolean {
    try {
      this.#socket.send(frame);
      return true;
    } catch {
      // The socket died and its close event has not come yet.
      return false;
    }
  }

  close(code: number, reason: string): void {
    closeQuietly(this.#socket, code, reason);
  }

  keep(state: BackhaulState): void {
    if (this.#state === undefined) void resolved.then(this.#write);
    this.#state = state;
  }

  readonly #write = (): void => {
    if (this.#state === undefined) return;
    const { boot, access, listeners, sent, received, done, acknowledged, toldServing } = this.#state;
    this.#state = undefined;
    const lasting = this.#lasting;
    if (lasting === undefined || lasting.boot !== boot || lasting.listeners !== listeners) {
      this.#lasting = { boot, access, listeners };
      this.#text = JSON.stringify(this.#lasting);
    }
    this.#socket.serializeAttachment([this.#text, sent, received, done, acknowledged, toldServing] satisfies Kept);
  };
}
