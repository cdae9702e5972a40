import { DurableObject } from "cloudflare:workers";
import type { ClusterMap } from "../../sip/placement/cluster-map.ts";
import { clusterMapOf, type Environment } from "../environment.ts";
import { gatewaysRememberedMax } from "../limits.ts";

export type MemberState = "up" | "suspect" | "down";

/** What a core group knows by itself: the gateways, and the epoch of its view. */
export type GroupView = {
  /** Counts the changes of this cell's view; it never goes back. */
  readonly epoch: number;
  readonly gateways: readonly { readonly id: string; readonly state: MemberState }[];
};

type ControlState = { readonly gateway: string; readonly since: number };

/**
 * The members of the cluster as this cell sees them: it holds the gateways' control sockets and gives them the cluster map. The runtime
 * answers their pings, so an idle group sleeps; when one came last is read when somebody asks.
 */
export class CoreGroupObject extends DurableObject<Environment> {
  readonly #map: ClusterMap;

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env);
    this.#map = clusterMapOf(env);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    ctx.storage.sql.exec("create table if not exists view (epoch integer not null)");
    ctx.storage.sql.exec("insert into view (epoch) select 1 where not exists (select 1 from view)");
    ctx.storage.sql.exec("create table if not exists gateways (id text primary key, seen integer not null) without rowid");
  }

  /** Takes a gateway's control socket. The caller has checked the signature and says whose it is. */
  override fetch(request: Request): Response {
    const gateway = request.headers.get("tandem-who");
    if (gateway === null || request.headers.get("upgrade")?.toLowerCase() !== "websocket") return new Response(null, { status: 426 });
    const pair = new WebSocketPair();
    const others = this.ctx.getWebSockets(gateway);
    this.ctx.acceptWebSocket(pair[1], [gateway]);
    pair[1].serializeAttachment({ gateway, since: Date.now() } satisfies ControlState);
    pair[1].send(JSON.stringify({ type: "map", map: this.#map }));
    if (others.length === 0) this.#viewChanged(gateway);
    for (const other of others) closeQuietly(other, 4001, "replaced by a newer control socket");
    return new Response(null, { status: 101, webSocket: pair[0] });
  }

  /** Gateways only listen on this socket; what they may say one day is no reason to part. */
  override webSocketMessage(): void {}

  override webSocketClose(socket: WebSocket): void {
    const { gateway } = controlOf(socket);
    const isLast = this.ctx.getWebSockets(gateway).every((other) => other === socket || other.readyState !== WebSocket.OPEN);
    if (isLast) this.#viewChanged(gateway);
  }

  override webSocketError(socket: WebSocket): void {
    this.webSocketClose(socket);
  }

  view(): GroupView {
    const now = Date.now();
    const { epoch } = this.ctx.storage.sql.exec<{ epoch: number }>("select epoch from view").one();
    const gateways = this.ctx.storage.sql.exec<{ id: string }>("select id from gateways order by id").toArray();
    return { epoch, gateways: gateways.map(({ id }) => ({ id, state: this.#stateOf(id, now) })) };
  }

  /** By the heartbeat of the map: one period without a ping is none missed yet, `missed` in a row are too many. */
  #stateOf(gateway: string, now: number): MemberState {
    const { periodMs, missed } = this.#map.heartbeat;
    let heard = Number.NEGATIVE_INFINITY;
    for (const socket of this.ctx.getWebSockets(gateway)) {
      if (socket.readyState !== WebSocket.OPEN) continue;
      const answered = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
      heard = Math.max(heard, answered, controlOf(socket).since);
    }
    const silentMs = now - heard;
    if (silentMs < 2 * periodMs) return "up";
    return silentMs < (missed + 1) * periodMs ? "suspect" : "down";
  }

  #viewChanged(gateway: string): void {
    const { sql } = this.ctx.storage;
    sql.exec("insert or replace into gateways (id, seen) values (?, ?)", gateway, Date.now());
    sql.exec("delete from gateways where id not in (select id from gateways order by seen desc limit ?)", gatewaysRememberedMax);
    sql.exec("update view set epoch = epoch + 1");
  }
}

function controlOf(socket: WebSocket): ControlState {
  const state = socket.deserializeAttachment() as ControlState | null;
  if (state === null) throw new Error("a control socket without an attachment");
  return state;
}

function closeQuietly(socket: WebSocket, code: number, reason: string): void {
  try {
    socket.close(code, reason);
  } catch {
    // It is closed already.
  }
}
