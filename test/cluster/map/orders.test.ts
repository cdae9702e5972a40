import { describe, expect, it } from "vitest";
import { KnownMap } from "../../../cluster/group/known-map.ts";
import { orderKeptMs, ordersMax } from "../../../cluster/limits.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { type HostOrder, isForeign, kindOn, openOrdersOf, withGatewayDrained } from "../../../cluster/map/orders.ts";
import { changeFor, type Wish } from "../../../cluster/map/wish.ts";
import { carriedMapSchema } from "../../../schemas/cluster-map.ts";
import { read } from "../../../schemas/reading.ts";
import { groupMap } from "../group/group-map.ts";

const now = 1_790_000_000_000;
const order = (number: number, more: Partial<HostOrder> = {}): HostOrder => ({
  id: number.toString(16).padStart(16, "0"),
  host: "h1",
  what: "restart",
  member: "a",
  until: now + 30_000,
  ...more,
});

class Group {
  readonly known: KnownMap;

  constructor(map: Partial<ClusterMap> = {}) {
    this.known = new KnownMap({ ...groupMap(["a", "b"]), ...map }, undefined);
  }

  wish(wish: Wish, at = now): string | undefined {
    const change = changeFor(this.known.map, wish, at);
    if ("refused" in change) return change.refused;
    return this.known.write(change, "a");
  }

  give(given: HostOrder, at = now): string | undefined {
    return this.wish({ giveOrder: given }, at);
  }
}

describe("orders to hosts", () => {
  it("stand in the map until their host has said what became of them, and its outcome for an hour after that", () => {
    const group = new Group();
    expect(group.give(order(1))).toBeUndefined();
    expect(openOrdersOf(group.known.map, "h1")).toEqual([order(1)]);
    expect(openOrdersOf(group.known.map, "h2")).toEqual([]);
    const outcome = { isDone: true, text: "cell a is started again", at: now + 900 };
    expect(group.wish({ finishOrder: { id: order(1).id, host: "h1", ...outcome } })).toBeUndefined();
    expect(openOrdersOf(group.known.map, "h1")).toEqual([]);
    expect(group.known.map.orders).toEqual([{ ...order(1), outcome }]);
    expect(read(carriedMapSchema, JSON.parse(JSON.stringify(group.known.map))).value?.orders).toEqual(group.known.map.orders);
    expect(group.give(order(2), now + orderKeptMs)).toBeUndefined();
    expect(group.known.map.orders).toHaveLength(2);
    expect(group.give(order(3), now + orderKeptMs + 1_000)).toBeUndefined();
    expect(group.known.map.orders?.map(({ id }) => id)).toEqual([order(2).id, order(3).id]);
  });

  it("are the same when they are given twice, and have the outcome that was said first", () => {
    const group = new Group();
    for (let times = 0; times < 2; times += 1) expect(group.give(order(1))).toBeUndefined();
    expect(group.known.map.orders).toHaveLength(1);
    const done = { id: order(1).id, host: "h1", isDone: true, text: "done", at: now };
    expect(group.wish({ finishOrder: done })).toBeUndefined();
    expect(group.wish({ finishOrder: { ...done, text: "again" } })).toBe(`nobody waits for order ${done.id}`);
    expect(group.give(order(1))).toBeUndefined();
    expect(group.known.map.orders?.map(({ outcome }) => outcome?.text)).toEqual(["done"]);
  });

  it("have an id of their own: one for another host or process, or of another kind, is refused", () => {
    const group = new Group();
    expect(group.give(order(1))).toBeUndefined();
    for (const other of [{ host: "h2" }, { what: "stop" }, { member: "b" }] as const)
      expect(group.give(order(1, other))).toBe(`the id ${order(1).id} is of another order: give it with a new one`);
    expect(group.known.map.orders).toEqual([order(1)]);
  });

  it("take no gateway out of service that is on another host", () => {
    const members = [
      { id: "h1", kind: "host", host: "h1", key: "k" },
      { id: "a", kind: "cell", host: "h1", key: "l" },
      { id: "g1", kind: "gateway", host: "h1", key: "m" },
      { id: "g2", kind: "gateway", host: "h2", key: "n" },
    ] as const;
    const map = { ...groupMap(["a", "b"]), authority: "a certificate", members };
    const drained = (member: string): unknown => withGatewayDrained(map, order(1, { member, drainUntil: now + 60_000 })).drainingGateways;
    expect(drained("g1")).toMatchObject([{ id: "g1" }]);
    for (const member of ["g2", "a", "h1", "zz"]) expect(drained(member)).toBeUndefined();
    expect(["a", "g1", "g2", "h1", "zz"].map((member) => kindOn(map, "h1", member))).toEqual([
      "cell",
      "gateway",
      undefined,
      undefined,
      undefined,
    ]);
    // What the other host says of itself, of processes of this one, of a gateway as if it was a cell, and of what it invents.
    const said = [
      { id: "g2", kind: "gateway" },
      { id: "g1", kind: "gateway" },
      { id: "a", kind: "cell" },
      { id: "g2", kind: "cell" },
      { id: "g99", kind: "gateway" },
    ] as const;
    expect(said.map((each) => isForeign(map, "h2", each))).toEqual([false, true, true, true, true]);
  });

  it("have their outcome from their own host, and from no other one", () => {
    const group = new Group();
    group.give(order(1));
    expect(group.wish({ finishOrder: { id: order(1).id, host: "h2", isDone: true, text: "", at: now } })).toMatch(/^nobody waits/);
    expect(openOrdersOf(group.known.map, "h1")).toHaveLength(1);
  });

  it("take the gateway that is to be stopped out of service with the same version, and no cell", () => {
    const gateways = new Group();
    gateways.give(order(1, { what: "stop", member: "g1", drainUntil: now + 60_000 }));
    expect(gateways.known.map).toMatchObject({ version: 2, drainingGateways: [{ id: "g1", closeAt: now + 60_000 }] });
    const cells = new Group();
    cells.give(order(1, { what: "stop", member: "a", drainUntil: now + 60_000 }));
    cells.give(order(2, { what: "stop", member: "g1" }));
    expect(cells.known.map.drainingGateways).toBeUndefined();
  });

  it("are no more than a map has room for: those that are over make room, and no others", () => {
    const group = new Group();
    for (let number = 0; number < ordersMax; number += 1) expect(group.give(order(number))).toBeUndefined();
    expect(group.give(order(900))).toMatch(/^64 orders are not carried out yet/);
    group.wish({ finishOrder: { id: order(7).id, host: "h1", isDone: true, text: "done", at: now } });
    expect(group.give(order(901))).toBeUndefined();
    expect(group.known.map.orders).toHaveLength(ordersMax);
    expect(group.known.map.orders?.some(({ id }) => id === order(7).id)).toBe(false);
    expect(group.give(order(902))).toMatch(/^64 orders/);
  });
});
