import { collectorOf } from "../../cluster/calls/collector.ts";
import { removalFault } from "../../cluster/group/removal.ts";
import { placesIn } from "../../cluster/map/serving-cells.ts";
import { Cell } from "./cell.ts";
import type { Cluster } from "./cluster.ts";
import type { Fault } from "./faults.ts";
import { coordinatorOf } from "./group-faults.ts";
import type { Random } from "./random.ts";

/** The operator adds a cell while the group runs, or removes one, as `tandem cell` does (cli/commands/cell.ts). They come where there are many cells. */
export const memberFaultKinds = ["add a cell", "remove a cell"] as const;

export type MemberFaultKind = (typeof memberFaultKinds)[number];

/** Names of cells that are added. `g` is a gateway's. */
const addedIds = ["h", "i", "j", "k", "l"];
/** A cell has what it is to have by then, or nothing any more, where nothing else is wrong. */
const settledMs = 15_000;
/** A cell that has started is taken in after so long. */
const addedAfterMs = 500;
/** So often somebody looks whether it has anything left, */
const lookMs = 500;
/** and so long. */
const lookMsMax = 40_000;
/** The process of a cell that was removed ends so much later. */
const endMs = 2_000;
/** So many are left at least that serve. */
const stayingMin = 3;

export function makeMemberFault(cluster: Cluster, kind: MemberFaultKind, from: number, random: Random): Fault {
  const { world } = cluster;
  const removed = random.pick(cluster.cells);
  const clock = { offsetMs: random.whole(-1_000, 1_000), drift: 0 };
  const fault = { kind, target: kind === "add a cell" ? "one more" : removed.id, from, until: from + settledMs };
  if (!cluster.leftOut.has(kind)) world.at(from, () => (kind === "add a cell" ? add(cluster, clock) : leave(cluster, removed)));
  return fault;
}

/** It starts, and is in the map when it runs. */
function add(cluster: Cluster, clock: { readonly offsetMs: number; readonly drift: number }): void {
  const { world } = cluster;
  const id = addedIds.find((each) => cluster.cells.every((cell) => cell.id !== each));
  if (id === undefined) return;
  world.trace("fault", () => `add a cell: ${id}`);
  const cell = new Cell(cluster, id, clock);
  cell.isDraining = true;
  cluster.cells.push(cell);
  cell.start();
  world.after(addedAfterMs, () => {
    const actor = coordinatorOf(cluster)?.group.actor;
    const url = `http://127.0.0.1:${8801 + cluster.cells.length}`;
    if (actor !== undefined && cell.host.state === "up") actor.changeMap({ cells: [...actor.map.cells, { id, url }] });
  });
}

/** It is to have nothing any more, and its softphones go elsewhere. */
function leave(cluster: Cluster, cell: Cell): void {
  const { world } = cluster;
  const actor = coordinatorOf(cluster)?.group.actor;
  const stay = cluster.staying.filter((each) => each !== cell && each.host.state === "up");
  if (actor === undefined || cell.isLost || cell.host.state !== "up" || stay.length < stayingMin) return;
  world.trace("fault", () => `remove a cell: ${cell.id}`);
  cell.group.actor.setDraining(true);
  actor.changeMap({ cells: actor.map.cells.map((each) => (each.id === cell.id ? { ...each, weight: 0 } : each)) });
  const until = world.now + lookMsMax;
  const look = (): void => {
    if (!remove(cluster, cell) && world.now < until) world.after(lookMs, look);
  };
  world.after(lookMs, look);
}

/** It has nothing left, and the ledgers of others have what its own has: it is taken out. False: not yet. */
function remove(cluster: Cluster, cell: Cell): boolean {
  const { world } = cluster;
  const actor = coordinatorOf(cluster)?.group.actor;
  if (cell.isLost) return true;
  if (actor === undefined || cell.host.state !== "up") return false;
  const { map, view } = actor;
  const isMember = map.cells.some(({ id, weight }) => id === cell.id && weight === 0);
  if (!isMember || placesIn(map, cell.id).length > 0 || cell.group.actor.left.length > 0) return false;
  const cells = map.cells.filter(({ id }) => id !== cell.id);
  if (removalFault(view, cells) !== undefined) return false;
  const collector = collectorOf(map, view);
  if (collector !== undefined && cluster.cell(collector.cell).host.state === "up")
    cluster.cell(collector.cell).ledger.whenRead(() => undefined);
  world.trace("fault", () => `cell ${cell.id} is removed`);
  actor.changeMap({ cells });
  world.after(endMs, () => {
    cell.isLost = true;
    cell.host.crash();
  });
  return true;
}
