import { orderKeptMs, ordersMax } from "../limits.ts";
import type { WallMs } from "../../sip/time.ts";
import type { ClusterMap } from "./cluster-map.ts";
import { gatewayDrained } from "./gateways.ts";

/** What a host can be told to do: with one of its processes, or `reload` with itself. */
export type OrderKind = "start" | "stop" | "restart" | "reload";

/**
 * What a host is to do. The map has it, so that it outlives whoever gave it, and the host takes it from any cell that it reaches
 * (docs/decisions/0051-a-host-reports-and-takes-orders.md).
 */
export type HostOrder = {
  /** Random: a host does once what has one id, however often it hears of it. */
  readonly id: string;
  readonly host: string;
  readonly what: OrderKind;
  /** The id of the cell or gateway; absent: the host itself. */
  readonly member?: string;
  /** Begun by then, or not at all. */
  readonly until: WallMs;
  /** What phones use is stopped when nobody is left there, and by then at the latest. Absent: at once. */
  readonly drainUntil?: WallMs;
  /** Absent: nobody knows yet. */
  readonly outcome?: OrderOutcome;
};

export type OrderOutcome = {
  readonly isDone: boolean;
  /** What became of it, in a line. */
  readonly text: string;
  readonly at: WallMs;
};

type Orders = Pick<ClusterMap, "orders">;

/** What a map says when an order is given. One of its id that is there already has to be the same. `now`: by the clock of who writes it. */
export function orderGiven({ orders = [] }: Orders, order: HostOrder, now: WallMs): Required<Orders> | { readonly refused: string } {
  const remembered = orders.filter((each) => isRemembered(each, now));
  const known = remembered.find(({ id }) => id === order.id);
  if (known !== undefined) {
    const isSame = known.host === order.host && known.what === order.what && known.member === order.member;
    return isSame ? { orders: remembered } : { refused: `the id ${order.id} is of another order: give it with a new one` };
  }
  // Those that are over make room.
  const over = remembered.findIndex(({ outcome }) => outcome !== undefined);
  const kept = remembered.length < ordersMax ? remembered : remembered.filter((_, index) => index !== over);
  return kept.length < ordersMax
    ? { orders: [...kept, order] }
    : { refused: `${ordersMax} orders are not carried out yet, and no more can be given` };
}

/** The host says what became of an order. Undefined: nobody waits for that any more. */
export function orderFinished({ orders = [] }: Orders, host: string, id: string, outcome: OrderOutcome): Required<Orders> | undefined {
  const known = orders.find((each) => each.id === id && each.host === host);
  if (known === undefined || known.outcome !== undefined) return undefined;
  return { orders: orders.map((each) => (each === known ? { ...each, outcome } : each)) };
}

/** What a host has not said the outcome of. */
export function openOrdersOf({ orders = [] }: Orders, host: string): readonly HostOrder[] {
  return orders.filter((each) => each.host === host && each.outcome === undefined);
}

/** The same with the gateway that it is about, which is taken out of service. */
export function withGatewayDrained(map: ClusterMap, { host, member, drainUntil }: HostOrder): Pick<ClusterMap, "drainingGateways"> {
  return member === undefined || drainUntil === undefined || kindOn(map, host, member) !== "gateway"
    ? {}
    : gatewayDrained(map, member, { id: member, closeAt: drainUntil });
}

/** What a process of a host is; undefined: it is none of that host's. Without an authority all runs on one machine, and the map does not name gateways. */
export function kindOn({ authority, members = [], cells }: ClusterMap, host: string, member: string): "cell" | "gateway" | undefined {
  if (authority === undefined) return cells.some(({ id }) => id === member) ? "cell" : "gateway";
  const known = members.find(({ id, host: its }) => id === member && its === host);
  return known === undefined || known.kind === "host" ? undefined : known.kind;
}

/** Whether the map does not have a process as what a host says it is, and there: of that nobody hears. Without an authority the map does not say. */
export function isForeign(map: ClusterMap, host: string, process: { readonly id: string; readonly kind: "cell" | "gateway" }): boolean {
  return map.authority !== undefined && kindOn(map, host, process.id) !== process.kind;
}

function isRemembered({ until, drainUntil = until, outcome }: HostOrder, now: WallMs): boolean {
  return now - (outcome?.at ?? Math.max(until, drainUntil)) < orderKeptMs;
}
