import { setTimeout as delay } from "node:timers/promises";
import type { PhoneTransport } from "../../kit/phone/link.ts";
import type { Arrival } from "../../kit/world/machine-system.ts";
import type { RelayedSystem } from "../../kit/world/relayed-system.ts";
import type { Status } from "../../schemas/api-answers.ts";
import { GroupWatch, isWholeWithout } from "./group-watch.ts";
import { changeMs, drainedCell, lostCells, type Fault, type GroupFault, type Times } from "./plan.ts";

/** What a change of the group came to. */
export type GroupResult = {
  /** So many ms after each part of the fault all exchanges were as they are to be, with two replicas that know all; undefined: not in time. */
  readonly wholeAfterMs: readonly (number | undefined)[];
  /** Replicas that cells were given which did not have them. */
  readonly moves: number;
  /** Replicas by cell, in the end. */
  readonly replicas: Readonly<Record<string, number>>;
  /** Of machines: how long each took from its command to "ready". */
  readonly arrivals?: readonly Arrival[];
};

/** All machines are upgraded, or get other certificates: softphones leave each cell in turn, where all is late a few a second (docs/decisions/0053). */
export const rolledMsMax = 1_800_000;

/** The promise is 45 s, of which a dead cell is waited for 30. */
const wholeMsMax = 15_000;
/** Replicas move a few at a time, for some seconds each. Softphones leave at the pace that the others can take: two a second where all is late. */
export const changedMsMax = 300_000;
/** The coordinator looks once a second whether more is to be moved. Nothing is when nothing has moved for so long. */
export const restMs = 4_000;
/** How far from an even share a cell may be. */
const unevenMax = 0.1;
/** It is there through everything, and asked what goes on. */
export const witness = "d";

type Scene = {
  readonly system: RelayedSystem;
  readonly transport: PhoneTransport;
  readonly times: Times;
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
};

/** Changes the group, and waits until it is what it is to be. */
export async function changeGroup(fault: GroupFault, scene: Scene): Promise<GroupResult> {
  const watch = new GroupWatch(scene.system.api(witness), scene.signal);
  const before = await watch.look();
  const isCommand = fault !== "lose-cell" && fault !== "lose-two";
  const wholeAfterMs = isCommand ? [await command(fault, before, watch, scene)] : await loseCells(fault, watch, scene);
  return { wholeAfterMs, moves: watch.moves.count, replicas: watch.moves.replicas };
}

/** Kills one cell after the other, each when all exchanges have two replicas again, and starts none of them. */
async function loseCells(fault: Fault, watch: GroupWatch, { system, times, say }: Scene): Promise<(number | undefined)[]> {
  const wholeAfterMs: (number | undefined)[] = [];
  const lost: string[] = [];
  const withinMs = times.heal + wholeMsMax;
  for (const cell of lostCells(fault)) {
    lost.push(cell);
    system.signal(`cell ${cell}`, "SIGKILL");
    const ms = await watch.until((status) => isWholeWithout(status, lost), withinMs);
    wholeAfterMs.push(ms);
    say(ms === undefined ? `not all exchanges have two replicas after ${withinMs / 1000} s` : "all exchanges have two replicas again");
  }
  return wholeAfterMs;
}

const commands = {
  "add-cell": ["cell", "add"],
  "drain-cell": ["drain", drainedCell],
  "remove-cell": ["cell", "remove", ...lostCells("remove-cell"), "--yes"],
  double: ["exchanges", "double"],
} as const;

/** Gives a command as an operator does, and looks at the same time what becomes of it. */
async function command(
  fault: keyof typeof commands,
  before: Status | undefined,
  watch: GroupWatch,
  { system, transport, times, say, signal }: Scene,
): Promise<number | undefined> {
  const startedAt = performance.now();
  const isDone = (status: Status): boolean => isChanged(fault, status, before, watch.moves.replicas);
  const [ms] = await Promise.all([watch.until(isDone, changedMsMax, restMs), system.command(...commands[fault])]);
  say(ms === undefined ? `the group is not what it is to be after ${changedMsMax / 1000} s` : "the group is what it is to be");
  // Calls of before end for as long as it was thought to take.
  await delay(Math.max(0, changeMs(fault, transport, times) - (performance.now() - startedAt)), undefined, { signal });
  return ms;
}

function isChanged(
  fault: keyof typeof commands,
  status: Status,
  before: Status | undefined,
  replicas: Readonly<Record<string, number>>,
): boolean {
  const { cells, exchanges = [] } = status;
  const gone = lostCells(fault);
  if (!isWholeWithout(status, gone)) return false;
  switch (fault) {
    case "add-cell":
      return cells.length === (before?.cells.length ?? 0) + 1 && cells.every(({ id }) => isEven(replicas[id] ?? 0, status));
    case "drain-cell":
      return cells.some(({ id, state, softphonesLeft }) => id === drainedCell && state === "draining" && softphonesLeft === 0);
    case "remove-cell":
      return cells.every(({ id }) => !gone.includes(id));
    case "double":
      return exchanges.length === 2 * (before?.exchanges?.length ?? 0);
  }
}

export function isEven(replicas: number, { cells, exchanges = [] }: Status): boolean {
  const even = (2 * exchanges.length) / cells.length;
  return Math.abs(replicas - even) <= unevenMax * even;
}
