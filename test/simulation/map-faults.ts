import { pairOf, type Assignment, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { doublingFault } from "../../cluster/map/doubling.ts";
import type { Cell } from "./cell.ts";
import type { Cluster } from "./cluster.ts";
import type { Fault } from "./faults.ts";
import type { Random } from "./random.ts";

/**
 * What a coordinator does to a map while the cluster runs. It is no fault of anybody, and comes like one: upon calls, and beside faults. Such runs have
 * three or four cells.
 */
export const mapFaultKinds = ["move a secondary", "move a replica", "lose a cell", "double the exchanges"] as const;

export type MapFaultKind = (typeof mapFaultKinds)[number];

/** Of the runs that have faults of all kinds, so many have some of these. */
export const mapFaultShare = 0.08;

/** The newcomer has been told everything by then, and the one that has left has handed over what it had. */
const movedMs = 3_000;

/** More are not doubled once more: most would be empty. */
const exchangesDoubledMax = 8;

/** A cell is gone for longer than it is waited for: others have what it had. What it comes back with it hands over. */
const lostMs = { min: 14_000, max: 22_000 };

/** Plans one of them. */
export function makeMapFault(cluster: Cluster, kind: MapFaultKind, from: number, random: Random): Fault {
  const { world, map } = cluster;
  const exchange = random.whole(0, map.exchangeCount - 1);
  const choice = random.real();
  if (kind === "lose a cell") return loseCell(cluster, random.pick(cluster.cells), from, random.whole(lostMs.min, lostMs.max));
  if (kind === "double the exchanges") return doubleExchanges(cluster, from, choice);
  const fault = { kind, target: `exchange ${exchange}`, from, until: from + movedMs };
  if (cluster.leftOut.has(kind)) return fault;
  world.at(from, () => {
    const writer = cluster.living.find(({ host }) => host.state === "up");
    if (writer !== undefined && kind === "move a secondary") moveSecondary(cluster, writer, exchange, choice);
    else if (writer !== undefined) moveReplica(cluster, writer, exchange, choice);
  });
  return fault;
}

/** To another cell that its writer thinks is up. */
function moveSecondary(cluster: Cluster, writer: Cell, exchange: number, choice: number): void {
  const { actor } = writer.group;
  const { map, view } = actor;
  const { primary, secondary } = pairOf(map, exchange);
  // The one that is replaced may be the only one that answers: no coordinator does that.
  if (view.cells.every(({ id, state }) => id !== primary || state !== "up")) return;
  const places = view.cells.filter(({ id, state }) => state === "up" && id !== primary && id !== secondary);
  const place = places[Math.floor(choice * places.length)];
  if (place === undefined) return;
  cluster.world.trace("fault", () => `exchange ${exchange} is moved from ${primary} ${secondary} to ${primary} ${place.id}`);
  noteMoments(cluster, exchange);
  actor.changeMap({ assignments: assignedAnew(map, exchange, { primary, secondary: place.id }) });
}

/** Some cell that is up writes it: the operator's wish goes to the coordinator of whichever side of a cut he is on. One that was removed has none. */
function doubleExchanges(cluster: Cluster, from: number, choice: number): Fault {
  const { world } = cluster;
  const hasMoved = choice * 10 - Math.floor(choice * 10) < 0.5;
  const fault = { kind: "double the exchanges", target: "all exchanges", from, until: from + movedMs } as const;
  if (cluster.leftOut.has(fault.kind)) return fault;
  world.at(from, () => {
    const up = cluster.living.filter(({ host }) => host.state === "up");
    const writer = up[Math.floor(choice * up.length)]?.group.actor;
    if (writer === undefined || doublingFault(writer.map) !== undefined || writer.map.exchangeCount > exchangesDoubledMax) return;
    world.trace("fault", () => `${writer.map.exchangeCount} exchanges are doubled`);
    for (let exchange = 0; exchange < writer.map.exchangeCount; exchange += 1) noteMoments(cluster, exchange, "the exchanges are doubled");
    // As if all had been moved before: then no replica is where one was at first.
    const founders = hasMoved ? { founders: writer.map.cells.map(() => "") } : {};
    writer.changeMap({ ...founders, exchangeCount: 2 * writer.map.exchangeCount });
  });
  return fault;
}

function loseCell(cluster: Cluster, cell: Cell, from: number, lastMs: number): Fault {
  const { world } = cluster;
  const kind = "lose a cell";
  const until = from + lastMs;
  const fault = { kind, target: cell.id, from, until } as const;
  if (cluster.leftOut.has(kind)) return fault;
  world.at(from, () => {
    world.trace("fault", () => `${kind}: ${cell.id}, for ${lastMs} ms`);
    cell.host.crash();
  });
  world.at(until, () => (cell.host.state === "down" && !cell.isLost ? cell.start() : undefined));
  return fault;
}

/** One of the two, to another cell that its writer thinks is up: that is told everything first, and the coordinator sees when it knows it. */
export function moveReplica(cluster: Cluster, writer: Cell, exchange: number, choice: number): void {
  const { actor } = writer.group;
  const { map, view } = actor;
  const { primary, secondary, joining } = pairOf(map, exchange);
  const places = view.cells.filter(({ id, state }) => state === "up" && id !== primary && id !== secondary);
  const place = places[Math.floor(choice * places.length)];
  if (place === undefined || joining !== undefined) return;
  const [stays, leaves] = choice * 10 - Math.floor(choice * 10) < 0.5 ? [primary, secondary] : [secondary, primary];
  cluster.world.trace("fault", () => `exchange ${exchange} is to move from ${leaves} to ${place.id}, and ${stays} copies`);
  noteMoments(cluster, exchange);
  actor.changeMap({ assignments: assignedAnew(map, exchange, { primary: stays, secondary: leaves, joining: place.id }) });
}

function assignedAnew(map: ClusterMap, exchange: number, assignment: Assignment): Assignment[] {
  return Array.from({ length: map.exchangeCount }, (_, each) => (each === exchange ? assignment : pairOf(map, each)));
}

function noteMoments(
  cluster: Cluster,
  exchange: number,
  what: "a replica is moved" | "the exchanges are doubled" = "a replica is moved",
): void {
  const stores = cluster.pairOf(exchange).flatMap((cell) => cell.awake(exchange)?.exchange.store ?? []);
  if (stores.some((store) => store.count("dialog") > 0)) cluster.moments.reached(`${what} while a call stands`);
  if (stores.some((store) => store.count("invite") > 0)) cluster.moments.reached(`${what} while a call is set up`);
}
