import { setTimeout as delay } from "node:timers/promises";
import type { Standing } from "../../cluster/assignment/balance.ts";
import { weightOf } from "../../cluster/assignment/shares.ts";
import { cellWeightMax } from "../../cluster/limits.ts";
import { movedTo, movesLeft, sharesNow } from "../../cluster/assignment/moves-left.ts";
import type { MapCell } from "../../cluster/map/cluster-map.ts";
import { cellAdded, cellLeaving, cellRemoved } from "../../cluster/map/map-change.ts";
import { type Group, groupSchema, type MapAnswer } from "../../schemas/api-answers.ts";
import { read } from "../../schemas/reading.ts";
import { ApiClient } from "../api-client.ts";
import { type Arguments, usage, wholeNumber } from "../arguments.ts";
import { cellAddSpec, cellWeightSpec } from "../command-specs.ts";
import { askTandem } from "../control.ts";
import { CellProgress } from "./cell-progress.ts";
import { checkRemoval, exchangesWith, replicasIn, stateOf, waitsFor } from "./cell-removal.ts";
import { Failure } from "../errors.ts";
import type { Io } from "../io.ts";
import { isTable, isText } from "../json.ts";
import { changeCells, mapOf } from "../map-changes.ts";
import { shownPath } from "../shown-path.ts";
import { findTarget, type Target, typed } from "../target.ts";

const pollMs = 250;
/** A busy machine's cells answer late, and are asked again for so long. */
const lateMsMax = 15_000;

/** Adds a cell: one that `tandem up` of this machine starts, or with --url one that runs elsewhere. Resolves when it has its share. */
export async function add(args: Arguments, io: Io): Promise<void> {
  const wish = wishOf(args);
  const url = args.values.get("url");
  // Here it is the URL of the new cell. The system is found otherwise.
  const values = new Map([...args.values].filter(([name]) => name !== "url"));
  const target = findTarget({ ...args, values }, io.environment);
  const start = performance.now();
  const before = await mapOf(target.api);
  if (url === undefined && args.values.has("id"))
    throw usage(cellAddSpec, "--id goes with --url: a cell of this machine gets the next letter");
  const cell = url === undefined ? await addHere(target, wish) : await addElsewhere(target, before, url, wish, args.values.get("id"));
  const say = sayer(args.flags.has("json"), io);
  say(`Cell ${cell.id} is a member, at ${cell.url}\n`);
  await untilSettled(target.api, before, cell.id, say);
  const map = await mapOf(target.api);
  const { replicas, primaries, even } = sharesNow(map.cells, map.assignments, cell.id);
  const [moves, ms] = [movedTo(cell.id, before.assignments, map.assignments), Math.round(performance.now() - start)];
  if (args.flags.has("json")) return io.out(`${JSON.stringify({ ...cell, replicas, primaries, even, moves, ms })}\n`);
  io.out(`Cell ${cell.id} has ${sharesText(replicas, primaries, even)}. ${moves} moved in ${seconds(ms)}\n`);
  if (wish.weight === 0) io.out(`With weight 0 it gets none: ${typed(args, `cell weight ${cell.id} 1`)} gives it its share\n`);
}

/** Gives a cell another weight. Resolves when it has what it is to have by that; where it is not up, at once. */
export async function weigh(args: Arguments, io: Io): Promise<void> {
  const { api } = findTarget(args, io.environment);
  const [cell = "", text = ""] = args.positionals;
  const weight = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (!(weight <= cellWeightMax)) throw usage(cellWeightSpec, `N ${text}: must be a whole number from 0 to ${cellWeightMax}`);
  const start = performance.now();
  const before = await mapOf(api);
  await api.put(`/api/cells/${encodeURIComponent(cell)}`, { weight });
  const say = sayer(args.flags.has("json"), io);
  say(`Cell ${cell} has weight ${weight}\n`);
  const state = stateOf(await groupOf(api), cell);
  if (state === "up") await untilSettled(api, before, cell, say, weight);
  const map = await mapOf(api);
  const { replicas, primaries, even } = sharesNow(map.cells, map.assignments, cell);
  const ms = Math.round(performance.now() - start);
  if (args.flags.has("json")) return io.out(`${JSON.stringify({ id: cell, weight, state, replicas, primaries, even, ms })}\n`);
  io.out(`Cell ${cell} has ${sharesText(replicas, primaries, even)}${laterText(args, cell, state)}\n`);
}

function sharesText(replicas: number, primaries: number, even: number): string {
  const has =
    replicas === 1 ? `1 replica, ${primaries === 1 ? "a primary" : "no primary"}` : `${replicas} replicas, ${primaries} of them primaries`;
  return `${has}; even would be ${even.toFixed(1)}`;
}

/** When a weight has an effect that has none yet. */
function laterText(args: Arguments, cell: string, state: string): string {
  if (state === "up") return "";
  if (state === "draining") return `; it is draining: ${typed(args, `undrain ${cell}`)} takes it back`;
  return `; it is ${state}: its weight has an effect when it is ${state === "down" ? "back" : "up"}`;
}

/** Removes a cell when it has nothing any more. Its process ends, if `tandem up` of this machine has started it. */
export async function remove(args: Arguments, io: Io): Promise<void> {
  const [cell = ""] = args.positionals;
  const start = performance.now();
  const { moves, isOfHere, isDown, kept } = await takeOut(
    findTarget(args, io.environment),
    cell,
    args.flags.has("yes"),
    sayer(args.flags.has("json"), io),
  );
  const ms = Math.round(performance.now() - start);
  if (args.flags.has("json"))
    return io.out(`${JSON.stringify({ id: cell, moves, ms, isEnded: isOfHere, ...(kept === undefined ? {} : { kept }) })}\n`);
  const ended = isDown ? "is not started again" : "has ended";
  const rest = isOfHere
    ? `its process ${ended}${kept === undefined ? "" : `; its directory is kept as ${shownPath(kept)}`}`
    : isDown
      ? "it hands over what it has left, should it come back"
      : "it rests: end its process where it runs";
  io.out(`Cell ${cell} is removed, and ${rest}. ${moves} replicas moved in ${seconds(ms)}\n`);
}

type TakenOut = {
  /** How many replicas went to others. */
  readonly moves: number;
  /** `tandem up` of this machine has run it. */
  readonly isOfHere: boolean;
  readonly isDown: boolean;
  /** It has not handed over all, and its directory is there now. */
  readonly kept?: string;
};

/** Takes a cell out of the map when it has nothing any more. `isMeant`: also one that is down. */
export async function takeOut(
  { api, state }: Pick<Target, "api" | "state">,
  cell: string,
  isMeant: boolean,
  say: (text: string) => void,
): Promise<TakenOut> {
  const { before, group, isOfHere } = await checkTakeOut({ api, state }, cell, isMeant);
  const isDown = stateOf(group, cell) === "down";
  // In this order: it is known to be leaving for good when it is drained, and its softphones stay until its replicas have gone.
  await changeCells(api, (map) => cellLeaving(map, cell));
  if (!isDown) await api.put(`/api/cells/${cell}`, { draining: true });
  const begun = isDown ? "is down: others get copies of what it shared with them" : "is out of service, and gives away what it has";
  say(`Cell ${cell} ${begun}\n`);
  await untilEmpty(api, before, cell, say);
  // Who collects call records reads what all others have before it answers.
  await api.get("/api/calls?most=1").catch(() => undefined);
  const moves = replicasIn(before, cell);
  const answer = state !== undefined && isOfHere ? await askTandem(state, "cell remove", { cell }) : undefined;
  if (answer === undefined) await changeCells(api, (map) => cellRemoved(map, cell));
  const kept = isTable(answer) && isText(answer["kept"]) ? answer["kept"] : undefined;
  return { moves, isOfHere, isDown, ...(kept === undefined ? {} : { kept }) };
}

/** Throws a {@link Failure} when a cell is not to be taken out. Nothing is changed yet. */
export async function checkTakeOut(
  { api, state }: Pick<Target, "api" | "state">,
  cell: string,
  isMeant: boolean,
): Promise<{ readonly before: MapAnswer; readonly group: Group; readonly isOfHere: boolean }> {
  const before = await mapOf(api);
  const group = await groupThatKnows(api, cell);
  const isOfHere = state?.readRun()?.cells.some(({ id }) => id === cell) ?? false;
  checkRemoval(cell, before, group, { isMeant, isOfHere });
  return { before, group, isOfHere };
}

type Wish = Pick<MapCell, "host" | "location" | "weight">;

function wishOf({ values }: Arguments): Wish {
  const [host, location, weight] = [values.get("host"), values.get("location"), values.get("weight")];
  // Cells of which nothing is said would all stand in one place.
  for (const [name, value] of Object.entries({ host, location }))
    if (value?.trim() === "") throw usage(cellAddSpec, `--${name}: must not be empty`);
  return {
    ...(host === undefined ? {} : { host }),
    ...(location === undefined ? {} : { location }),
    ...(weight === undefined ? {} : { weight: wholeNumber(cellAddSpec, "weight", weight, 0, cellWeightMax) }),
  };
}

async function addHere({ state }: Target, wish: Wish): Promise<{ readonly id: string; readonly url: string }> {
  if (state === undefined)
    throw new Failure("no system of this machine is meant: name its --state, or with --url a cell that runs elsewhere");
  const answer = await askTandem(state, "cell add", wish);
  if (!isTable(answer) || !isText(answer["id"]) || !isText(answer["url"]))
    throw new Failure("the running tandem does not say which cell it has added");
  return { id: answer["id"], url: answer["url"] };
}

async function addElsewhere(
  { api, credentials }: Target,
  map: MapAnswer,
  url: string,
  wish: Wish,
  named: string | undefined,
): Promise<{ readonly id: string; readonly url: string }> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw usage(cellAddSpec, `--url ${url}: must be an http or https URL`);
  const there = new ApiClient([url.replace(/\/+$/, "")], credentials);
  const known = await there.cell();
  const id = named ?? known;
  if (id === "" || (known !== "" && known !== id))
    throw new Failure(`${url} ${known === "" ? "does not say that it is a cell" : `is cell ${known}`}`);
  if (map.cells.some((cell) => cell.id === id)) throw new Failure(`there is a cell ${id} already`);
  // It has the same secret, or this is refused.
  await there.get("/api/map");
  const cell = { id, url: url.replace(/\/+$/, ""), ...wish };
  await changeCells(api, (newest) => cellAdded(newest, cell));
  return { id, url: cell.url };
}

/** Until the new cell has what it is to have, and nothing is on its way. */
async function untilSettled(api: ApiClient, before: MapAnswer, cell: string, say: (text: string) => void, weight?: number): Promise<void> {
  const watch = new CellProgress(before, say);
  for (;;) {
    const [map, group] = [await mapOf(api), await groupOf(api)];
    // The cell that is asked may not have heard of the change yet.
    const known = map.cells.find(({ id }) => id === cell);
    if (known === undefined || (weight !== undefined && weightOf(known) !== weight)) {
      watch.check(`cell ${cell} is ${known === undefined ? "no member any more" : "given another weight by somebody else"}`, undefined);
      await delay(pollMs);
      continue;
    }
    // The new one is about to be up.
    const left = movesLeft(map.cells, map.assignments, (id) => (id === cell ? "up" : standingOf(stateOf(group, id))));
    watch.look(map, left.moves);
    if (left.isSettled && stateOf(group, cell) === "up" && group.exchanges.every(({ state }) => state === "paired")) return;
    watch.check(`cell ${cell} has not all that it is to have`, undefined);
    await delay(pollMs);
  }
}

/** Until a cell that leaves has no replica, nothing left of one, and no softphone. */
async function untilEmpty(api: ApiClient, before: MapAnswer, cell: string, say: (text: string) => void): Promise<void> {
  const watch = new CellProgress(before, say);
  for (;;) {
    const [map, group] = [await mapOf(api), await groupOf(api)];
    if (map.cells.every(({ id }) => id !== cell)) throw new Failure(`cell ${cell} has been removed meanwhile, by another command`);
    const member = group.members.find(({ id, kind }) => id === cell && kind === "cell");
    const has = replicasIn(map, cell);
    watch.look(map, has, cell, member?.softphonesLeft);
    const isDown = member?.state === "down";
    if (has === 0 && (isDown || ((member?.left ?? 0) === 0 && member?.softphonesLeft === 0))) return;
    const left = `cell ${cell} has ${has} replicas and ${member?.softphonesLeft ?? "an unknown number of"} softphones left`;
    watch.check(left, waitsFor(cell, map, group));
    await delay(pollMs);
  }
}

/** The group, as soon as all cells answer that share exchanges with this one, or as it is when they have had long enough. */
async function groupThatKnows(api: ApiClient, cell: string): Promise<Group> {
  const start = performance.now();
  for (;;) {
    const group = await groupOf(api);
    const isKnown = exchangesWith(cell, group).every(({ state }) => state !== "unknown");
    if (isKnown || performance.now() - start >= lateMsMax) return group;
    await delay(pollMs);
  }
}

async function groupOf(api: ApiClient): Promise<Group> {
  const { value, fault } = read(groupSchema, await api.get("/api/group"));
  if (fault !== undefined) throw new Failure("the cell's answer is no group: is it of another version?");
  return value;
}

/** What the coordinator counts on a cell for, when it has been so for long enough. */
function standingOf(state: string): Standing {
  return state === "up" ? "up" : state === "down" ? "gone" : "busy";
}

/** With --json only the outcome is said. */
export function sayer(isJson: boolean, io: Io): (text: string) => void {
  return (text) => (isJson ? undefined : io.out(text));
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
