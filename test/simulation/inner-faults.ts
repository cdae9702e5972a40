import type { Cell } from "./cell.ts";
import type { Cluster } from "./cluster.ts";
import type { ExchangePlace } from "./exchange-place.ts";
import type { Fault } from "./faults.ts";
import type { Random } from "./random.ts";

/**
 * Faults inside of cells: of their objects, of their disks, of their versions.
 *
 * What the platform does not do is no fault. An object with something under way is not put to sleep, and a reset closes its WebSockets. The death of a
 * process loses nothing that an object has written, for SQLite has it in the kernel by then: only a machine that loses its power does.
 *
 * Another version runs the same actors: there is one set of sources. What it does not understand is what stands in for it: requests of the others, and
 * on disks a record of a kind to come (simulate.ts). The format of rows is below the port of the disk, and has tests of its own (record-log.test.ts).
 */
export const innerFaultKinds = [
  "put objects to sleep",
  "reset an exchange",
  "reset a line",
  "reset a core group",
  "refuse a write",
  "fill a disk",
  "crash a cell without its last writes",
  "crash both cells without their last writes",
  "start a cell as another version",
] as const;

export type InnerFaultKind = (typeof innerFaultKinds)[number];

/** What may sleep is looked for so often: the runtime waits for 10 s, but who answers a challenge must find the object that asked. */
const sleepLookMsMax = 1_000;
/** A process that is started anew. */
const restartMs = 300;

/** How a fault begins and ends. */
type Course = { readonly target: string; readonly begin: () => void; readonly end?: () => void };

/** They come beside the others, in some runs. */
export function planInnerFaults(cluster: Cluster, random: Random, kinds: readonly InnerFaultKind[], lastMs: number): Fault[] {
  if (kinds.length === 0 || !random.chance(0.4)) return [];
  return [makeInnerFault(cluster, random.pick(kinds), random.whole(4_000, 5_000 + lastMs), random)];
}

function makeInnerFault(cluster: Cluster, kind: InnerFaultKind, from: number, random: Random): Fault {
  const { world } = cluster;
  const lastMs = random.pick(kind === "put objects to sleep" ? [12_000, 30_000] : [300, 1_500, 4_000, 12_000]) + random.whole(0, 500);
  const until = from + (kind.startsWith("reset") ? 0 : lastMs);
  const { target, begin, end } = courseOf(cluster, kind, until, random);
  if (cluster.leftOut.has(kind)) return { kind, target, from, until };
  world.at(from, () => {
    world.trace("fault", () => `${kind}: ${target}, for ${until - from} ms`);
    begin();
  });
  if (end !== undefined) world.at(until, end);
  return { kind, target, from, until };
}

function courseOf(cluster: Cluster, kind: InnerFaultKind, until: number, random: Random): Course {
  const cell = random.pick(cluster.cells);
  switch (kind) {
    case "put objects to sleep":
      return { target: "all cells", begin: () => sleepUntil(cluster, until, random) };
    case "reset an exchange":
      return { target: cell.id, begin: () => ifUp(cell, () => busiestOf(cell)?.reset("by a fault")) };
    case "reset a line":
      return { target: cell.id, begin: () => ifUp(cell, () => [...cell.lines].forEach((line) => line.reset())) };
    case "reset a core group":
      return { target: cell.id, begin: () => ifUp(cell, () => cell.group.reset()) };
    case "refuse a write":
      return refuseWrite(cell);
    case "fill a disk":
      return fillDisk(cell);
    case "crash a cell without its last writes":
      return loseWrites(cell.id, [cell]);
    case "crash both cells without their last writes":
      return loseWrites("all cells", cluster.cells);
    case "start a cell as another version":
      return startOther(cell);
  }
  return kind satisfies never;
}

/** All that may sleep does. */
function sleepUntil(cluster: Cluster, until: number, random: Random): void {
  const { world } = cluster;
  for (const cell of cluster.cells) {
    // A core group keeps the objects of its cell awake while its disk is full.
    if (cell.host.state !== "up" || cell.disk.isFull) continue;
    for (const exchange of cell.exchanges) exchange.sleep();
    for (const line of cell.lines) line.sleep();
  }
  if (world.now < until) world.after(random.whole(1, sleepLookMsMax), () => sleepUntil(cluster, until, random));
}

/** The exchange with the most calls that are being set up. */
function busiestOf(cell: Cell): ExchangePlace | undefined {
  return [...cell.exchanges].toSorted((one, other) => invitesOf(other) - invitesOf(one))[0];
}

function invitesOf({ awake }: ExchangePlace): number {
  return awake?.exchange.store.count("invite") ?? 0;
}

/** One, if there is one meanwhile. */
function refuseWrite({ disk, id }: Cell): Course {
  return { target: id, begin: () => (disk.isRefusing = true), end: () => (disk.isRefusing = false) };
}

/** Whoever writes asks for room from the beginning: it is a cell whose disk may fill up. */
function fillDisk(cell: Cell): Course {
  const { disk } = cell;
  disk.isAskedForRoom = true;
  return { target: cell.id, begin: () => (disk.isFull = true), end: () => (disk.isFull = false) };
}

function loseWrites(target: string, cells: readonly Cell[]): Course {
  return {
    target,
    begin: () => {
      for (const { host, disk } of cells) {
        host.crash();
        disk.loseLastWrites();
      }
    },
    end: () => cells.forEach(startIfDown),
  };
}

/** It is stopped and started again, both times. */
function startOther(cell: Cell): Course {
  const { host } = cell;
  const restartAs = (version: number): void => {
    host.version = version;
    if (host.state === "down") return;
    host.crash();
    host.world.after(restartMs, () => startIfDown(cell));
  };
  const { version = 0 } = host;
  return { target: cell.id, begin: () => restartAs(version - 1), end: () => restartAs(version) };
}

function startIfDown(cell: Cell): void {
  if (cell.host.state === "down" && !cell.isLost) cell.start();
}

function ifUp(cell: Cell, act: () => void): void {
  if (cell.host.state === "up") act();
}
