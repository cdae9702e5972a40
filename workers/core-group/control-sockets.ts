import type { GatewayTally } from "../../cluster/group/gateway-tally.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { memberOf } from "../../cluster/map/members.ts";
import { closeQuietly, strangerCode, strangerText } from "../close-socket.ts";
import { gatewaysRememberedMax } from "../limits.ts";
import type { Listener } from "../../sip/flow/flow.ts";
import type { WallMs } from "../../sip/time.ts";

type ControlState = {
  readonly gateway: string;
  readonly since: WallMs;
  readonly tally?: GatewayTally;
  readonly listeners?: readonly Listener[];
};

/**
 * The control sockets of the gateways. The runtime answers their pings, so that they wake nobody; when one came last is read when it
 * matters.
 */
export class ControlSockets {
  readonly #ctx: DurableObjectState;
  /** Where gateways listened that have no socket now, for as long as this object is awake. */
  readonly #listened = new Map<string, readonly Listener[]>();

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  }

  /** Takes a gateway's socket and closes those that it had before. */
  accept(gateway: string): { readonly response: Response; readonly socket: WebSocket } {
    const pair = new WebSocketPair();
    const others = this.#ctx.getWebSockets(gateway);
    this.#ctx.acceptWebSocket(pair[1], [gateway]);
    pair[1].serializeAttachment({ gateway, since: Date.now() } satisfies ControlState);
    for (const other of others) closeQuietly(other, 4001, "replaced by a newer control socket");
    return { response: new Response(null, { status: 101, webSocket: pair[0] }), socket: pair[1] };
  }

  /** When each gateway that has an open socket was last heard. */
  heard(): ReadonlyMap<string, WallMs> {
    const heard = new Map<string, WallMs>();
    for (const socket of this.#ctx.getWebSockets()) {
      if (socket.readyState !== WebSocket.OPEN) continue;
      const { gateway, since } = stateOf(socket);
      const at = Math.max(since, this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0);
      heard.set(gateway, Math.max(at, heard.get(gateway) ?? 0));
    }
    return heard;
  }

  /** Closes those of gateways that are members no more. */
  closeStrangers(map: ClusterMap): void {
    if (map.authority === undefined) return;
    for (const socket of this.#ctx.getWebSockets()) {
      if (memberOf(map, stateOf(socket).gateway) === undefined) closeQuietly(socket, strangerCode, strangerText);
    }
  }

  gatewayOf(socket: WebSocket): string {
    return stateOf(socket).gateway;
  }

  /** What a gateway has said of itself. It is kept with the socket, so this object may sleep. */
  tallied(socket: WebSocket, tally: GatewayTally): void {
    socket.serializeAttachment({ ...stateOf(socket), tally } satisfies ControlState);
  }

  /** A gateway has said where phones find it. */
  introduced(socket: WebSocket, listeners: readonly Listener[]): void {
    const state = stateOf(socket);
    socket.serializeAttachment({ ...state, listeners } satisfies ControlState);
    if (this.#listened.size >= gatewaysRememberedMax) this.#listened.clear();
    this.#listened.set(state.gateway, listeners);
  }

  /** Where phones find each gateway, as it said last. */
  listeners(): Readonly<Record<string, readonly Listener[]>> {
    const all: Record<string, readonly Listener[]> = Object.fromEntries(this.#listened);
    for (const socket of this.#ctx.getWebSockets()) {
      const { gateway, listeners } = stateOf(socket);
      if (listeners !== undefined) all[gateway] = listeners;
    }
    return all;
  }

  /** What gateways said last of themselves, by gateway. */
  tallies(): Readonly<Record<string, GatewayTally>> {
    const tallies: Record<string, GatewayTally> = {};
    for (const socket of this.#ctx.getWebSockets()) {
      if (socket.readyState !== WebSocket.OPEN) continue;
      const { gateway, tally } = stateOf(socket);
      if (tally !== undefined) tallies[gateway] = tally;
    }
    return tallies;
  }

  /** Whether the gateway of a socket that closes has no other. */
  isLast(socket: WebSocket): boolean {
    const { gateway } = stateOf(socket);
    return this.#ctx.getWebSockets(gateway).every((other) => other === socket || other.readyState !== WebSocket.OPEN);
  }

  /** Tells every gateway. One whose socket breaks at this moment will be told anew when it connects. */
  send(message: unknown): void {
    const text = JSON.stringify(message);
    for (const socket of this.#ctx.getWebSockets()) sendQuietly(socket, text);
  }
}

function stateOf(socket: WebSocket): ControlState {
  const state = socket.deserializeAttachment() as ControlState | null;
  if (state === null) throw new Error("a control socket without an attachment");
  return state;
}

function sendQuietly(socket: WebSocket, text: string): void {
  try {
    socket.send(text);
  } catch {
    // It is closing.
  }
}
