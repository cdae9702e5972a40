import { pairOf } from "../../cluster/map/cluster-map.ts";
import type { Cell } from "./cell.ts";
import type { Cluster } from "./cluster.ts";
import type { Fault } from "./faults.ts";
import { healedMs } from "./excuses.ts";
import { moveReplica } from "./map-faults.ts";
import type { Random } from "./random.ts";

/** What befalls a group that is large enough to heal itself: these come where there are four or six cells. */
export const groupFaultKinds = [
  "lose a cell for good",
  "cut the cells in two",
  "cut two cells from each other",
  "crash the coordinator in a move",
  "freeze the coordinator in a move",
  "prefer another coordinator",
] as const;

export type GroupFaultKind = (typeof groupFaultKinds)[number];

/** How many cells such a group has. */
export const groupSizes = [4, 6] as const;

/** Of the runs that have faults of all kinds, so many have such a group. */
export const groupShare = 0.08;

/** So many cells are left at least: two of them, and one that can take the place of either. */
const livingMin = 3;
/** Everybody has another coordinator by then. */
const preferredMs = 3_000;
/** A move is over after some hundred milliseconds, or has hardly begun. */
const inMoveMsMax = 400;

/** A fault whose target is known when it comes. */
type Struck = { -readonly [Key in keyof Fault]: Fault[Key] };

/** Plans one of them. */
export function makeGroupFault(cluster: Cluster, kind: GroupFaultKind, from: number, random: Random): Fault {
  const lastMs = random.pick([1_500, 4_000, 12_000]) + random.whole(0, 500);
  switch (kind) {
    case "lose a cell for good":
      return loseForGood(cluster, random.pick(cluster.cells), from);
    case "cut the cells in two":
      return cutInTwo(cluster, from, lastMs, random);
    case "cut two cells from each other":
      return cutTwo(cluster, from, lastMs, random);
    case "crash the coordinator in a move":
    case "freeze the coordinator in a move":
      return strikeCoordinator(cluster, kind, from, lastMs, random);
    case "prefer another coordinator":
      return preferAnother(cluster, from, random);
  }
  return kind satisfies never;
}

/** It dies and does not come back: others are to have what it had. Not the second one of a pair before they have, for then nobody has it. */
function loseForGood(cluster: Cluster, cell: Cell, from: number): Fault {
  const { world } = cluster;
  const fault: Struck = { kind: "lose a cell for good", target: "nobody", from, until: from + healedMs };
  if (cluster.leftOut.has(fault.kind)) return fault;
  world.at(from, () => {
    const left = cluster.staying.filter((each) => each !== cell);
    if (cell.isLost || left.length < livingMin || isNeeded(cluster, cell)) return;
    world.trace("fault", () => `${fault.kind}: ${cell.id}`);
    fault.target = cell.id;
    cell.isLost = true;
    cell.host.crash();
  });
  return fault;
}

/** It alone has what a cell had that is lost. */
function isNeeded(cluster: Cluster, cell: Cell): boolean {
  const pairs = Array.from({ length: cluster.map.exchangeCount }, (_, exchange) => cluster.pairOf(exchange));
  return pairs.some((pair) => pair.includes(cell) && pair.some((other) => other !== cell && other.isLost));
}

/** Gateways are on one side of it, or on both. */
function cutInTwo(cluster: Cluster, from: number, lastMs: number, random: Random): Fault {
  const { cells, gateways } = cluster;
  const size = random.whole(1, cells.length - 1);
  const first = random.whole(0, cells.length - 1);
  const side = new Set(Array.from({ length: size }, (_, index) => cells[(first + index) % cells.length]));
  const pairs = cells.flatMap((one) => (side.has(one) ? cells.filter((other) => !side.has(other)).map((other) => [one.id, other.id]) : []));
  if (random.chance(0.4)) {
    for (const { host } of gateways) {
      const isOfSide = random.chance(0.5);
      pairs.push(...cells.filter((cell) => side.has(cell) !== isOfSide).map(({ id }) => [host.name, id]));
    }
  }
  return cut(cluster, "cut the cells in two", pairs, from, lastMs);
}

/** All others hear both. */
function cutTwo(cluster: Cluster, from: number, lastMs: number, random: Random): Fault {
  const one = random.pick(cluster.cells);
  const other = random.pick(cluster.cells.filter((cell) => cell !== one));
  return cut(cluster, "cut two cells from each other", [[one.id, other.id]], from, lastMs);
}

function cut(cluster: Cluster, kind: GroupFaultKind, pairs: readonly (readonly string[])[], from: number, lastMs: number): Fault {
  const { network, world } = cluster;
  const target = pairs.map((pair) => pair.join("|")).join(" ");
  const fault = { kind, target, from, until: from + lastMs };
  if (cluster.leftOut.has(kind)) return fault;
  world.at(from, () => {
    world.trace("fault", () => `${kind}: ${target}, for ${lastMs} ms`);
    for (const [one = "", other = ""] of pairs) network.cut(one, other);
  });
  world.at(from + lastMs, () => {
    for (const [one = "", other = ""] of pairs) network.heal(one, other);
  });
  return fault;
}

/** It has begun to move a replica, and falls silent a moment later. */
function strikeCoordinator(
  cluster: Cluster,
  kind: "crash the coordinator in a move" | "freeze the coordinator in a move",
  from: number,
  lastMs: number,
  random: Random,
): Fault {
  const { world } = cluster;
  const at = from + random.whole(0, inMoveMsMax);
  const choice = random.real();
  const fault: Struck = { kind, target: "nobody", from: at, until: at + lastMs };
  if (cluster.leftOut.has(kind)) return fault;
  world.at(from, () => {
    const coordinator = coordinatorOf(cluster);
    if (coordinator === undefined) return;
    moveReplica(cluster, coordinator, Math.floor(choice * cluster.map.exchangeCount), choice);
    world.at(at, () => {
      if (coordinator.host.state !== "up") return;
      fault.target = coordinator.id;
      world.trace("fault", () => `${kind}: ${coordinator.id}, for ${lastMs} ms`);
      if (isMoving(cluster)) cluster.moments.reached("the coordinator falls silent while a replica moves");
      if (kind.startsWith("crash")) coordinator.host.crash();
      else coordinator.host.freeze();
    });
    world.at(at + lastMs, () => coordinator.goOn());
  });
  return fault;
}

/** The operator changes whom he prefers. */
function preferAnother(cluster: Cluster, from: number, random: Random): Fault {
  const { world } = cluster;
  const kind = "prefer another coordinator";
  const cell = random.pick(cluster.cells);
  const fault = { kind, target: `to ${cell.id}`, from, until: from + preferredMs } as const;
  if (cluster.leftOut.has(kind)) return fault;
  world.at(from, () => {
    world.trace("fault", () => `${kind}: ${cell.id}`);
    coordinatorOf(cluster)?.group.actor.changeMap({ preferred: [cell.id] });
  });
  return fault;
}

/** As the first live cell sees it, if that one lives as well. */
export function coordinatorOf(cluster: Cluster): Cell | undefined {
  const { coordinator } = cluster.living.find(({ host }) => host.state === "up")?.group.actor.view ?? {};
  return cluster.living.find(({ id, host }) => id === coordinator && host.state === "up");
}

function isMoving({ map }: Cluster): boolean {
  return Array.from({ length: map.exchangeCount }, (_, exchange) => pairOf(map, exchange)).some(({ joining }) => joining !== undefined);
}
