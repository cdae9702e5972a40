import { existsSync, renameSync, rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterMap, MapCell } from "../cluster/map/cluster-map.ts";
import { cellAdded, cellRemoved } from "../cluster/map/map-change.ts";
import type { MapAnswer } from "../schemas/api-answers.ts";
import type { ApiClient } from "./api-client.ts";
import { lettersOf, withChanged } from "./cluster.ts";
import { Failure, reasonOf } from "./errors.ts";
import { isListOf, isTable, isText, type Table } from "./json.ts";
import { cellOfLetter, type CellOfLayout, checkPorts, httpHostOf, type Layout, letterOf, mapCellOf } from "./layout.ts";
import type { LocalMembers } from "./local-members.ts";
import { changeCells, mapOf } from "./map-changes.ts";
import type { Reporter } from "./reporter.ts";
import { cellsMax, type Settings } from "./settings.ts";
import { shownPath } from "./shown-path.ts";
import type { StateDirectory } from "./state-directory.ts";
import type { ProcessSpec, Supervisor } from "./supervisor.ts";

export type LocalCellsOptions = {
  readonly settings: Settings;
  readonly state: StateDirectory;
  readonly reporter: Reporter;
  readonly supervisor: Supervisor;
  /** Any cell of this machine, and one of them. */
  readonly api: () => ApiClient;
  readonly apiAt: (cell: CellOfLayout) => ApiClient;
  /** What a cell says of its exchanges. */
  readonly summaryOf: (cell: CellOfLayout) => Promise<unknown>;
  /** What this machine is called, and its members, in a system with an authority. */
  readonly host: string | undefined;
  readonly members: LocalMembers | undefined;
  /** Where this machine stands; undefined: nobody knows. */
  readonly location: string | undefined;
  /** The map that a system with these cells is started with. */
  readonly deployed: (cells: readonly CellOfLayout[]) => ClusterMap;
  readonly specOf: (cell: CellOfLayout, map: ClusterMap) => ProcessSpec;
  /** Other cells run on this machine. */
  readonly changed: (cells: readonly CellOfLayout[]) => void;
};

/** A cell that was removed hears of it with its next heartbeat, and has nothing to hand over by then. */
const toldMsMax = 20_000;
const pollMs = 50;

/** The cells of this machine, as they come and go while the system runs. */
export class LocalCells {
  readonly #options: LocalCellsOptions;
  #all: readonly CellOfLayout[];
  /** Resolves when what was asked for before is done, or has failed. */
  #before: Promise<unknown> = Promise.resolve();

  constructor(cells: readonly CellOfLayout[], options: LocalCellsOptions) {
    this.#all = cells;
    this.#options = options;
  }

  get all(): readonly CellOfLayout[] {
    return this.#all;
  }

  /** Starts one more, and has it in the map. Of what is asked host, location and weight are the map's. */
  add(request: Table): Promise<{ readonly id: string; readonly url: string }> {
    return this.#alone(async () => {
      const { settings, supervisor, api, deployed, specOf, members } = this.#options;
      if (!settings.replication) throw new Failure("without replication a further cell would have nothing to do");
      const map = await mapOf(api());
      const cell = await this.#nextCell(map);
      this.#setAside(cell.id, "before");
      // It waits without a word until it hears of a map that has it.
      const known = {
        ...deployed([...this.#all, cell]),
        cells: map.cells,
        assignments: map.assignments,
        exchangeCount: map.assignments.length,
      };
      try {
        await members?.add(cell, api());
        await supervisor.start(specOf(cell, known));
        await changeCells(api(), (newest) => cellAdded(newest, { ...this.#mapCell(cell), ...placeOf(request) }));
      } catch (error) {
        await this.#end(cell);
        await members?.remove(cell.id, api());
        this.#forget(cell.id);
        throw error;
      }
      this.#become([...this.#all, cell]);
      this.#options.reporter.event(`cell ${cell.id}`, "added", cell.url);
      return { id: cell.id, url: cell.url };
    });
  }

  /** Puts those into the map that it does not have, on a host that joins. */
  async place(): Promise<void> {
    await changeCells(this.#options.api(), (map) => {
      const missing = this.#all.filter(({ id }) => map.cells.every((cell) => cell.id !== id));
      return missing.reduce((cells, cell) => cellAdded({ cells }, this.#mapCell(cell)), map.cells);
    });
  }

  /** Takes those out of the map again that run here. One that has a replica by then stays. */
  async takeBack(): Promise<void> {
    for (const { id } of this.#all) await changeCells(this.#options.api(), (map) => cellRemoved(map, id));
  }

  /** As the map is to have it. */
  #mapCell(cell: CellOfLayout): MapCell {
    const { host, location } = this.#options;
    return { ...mapCellOf(cell, host), ...(location === undefined ? {} : { location }) };
  }

  /** Takes one out of the map that has no replica any more, and ends its process. `kept`: it has not handed over all, and its directory is there now. */
  remove(id: string): Promise<{ readonly id: string; readonly kept?: string }> {
    return this.#alone(async () => {
      const cell = this.#all.find((each) => each.id === id);
      if (cell === undefined) throw new Failure(`cell ${id} does not run on this machine`);
      await changeCells(this.#options.api(), (map) => cellRemoved(map, id));
      const hasNothing = await this.#hasHandedOver(cell);
      this.#become(this.#all.filter((each) => each !== cell));
      await this.#end(cell);
      await this.#options.members?.remove(id, this.#options.api());
      const kept = hasNothing ? this.#forget(id) : this.#setAside(id, "removed");
      this.#options.reporter.event(`cell ${id}`, "removed", kept === undefined ? "" : `what it had left is kept as ${shownPath(kept)}`);
      return { id, ...(kept === undefined ? {} : { kept }) };
    });
  }

  /** Ends those that the map does not have: this process has ended while it added or removed one. `serving`: names of processes that run. */
  async endStrangers(serving: ReadonlySet<string>): Promise<void> {
    const running = this.#all.filter(({ id }) => serving.has(`cell ${id}`));
    const maps = await Promise.all(running.map((cell) => mapOf(this.#options.apiAt(cell)).catch(() => undefined)));
    const [newest] = maps.filter((map) => map !== undefined).toSorted((one, other) => other.version - one.version);
    if (newest === undefined) return;
    const strangers = running.filter(({ id }) => newest.cells.every((each) => each.id !== id));
    for (const cell of strangers) {
      this.#become(this.#all.filter((each) => each !== cell));
      await this.#end(cell);
      const kept = this.#setAside(cell.id, "removed");
      this.#options.reporter.event(
        `cell ${cell.id}`,
        "removed",
        `the map does not have it; what it had is kept as ${shownPath(kept ?? "")}`,
      );
    }
  }

  /** One after the other, in the order in which they were asked for. Each takes some seconds: who comes second waits. */
  #alone<Result>(act: () => Promise<Result>): Promise<Result> {
    const result = this.#before.then(act);
    this.#before = result.catch(() => undefined);
    return result;
  }

  /** The first letter that no cell has, and whose port is free. */
  async #nextCell(map: MapAnswer): Promise<CellOfLayout> {
    const { settings } = this.#options;
    let reason = `there are ${cellsMax} cells already`;
    for (let index = 0; index < cellsMax; index += 1) {
      const cell = cellOfLetter(settings, letterOf(index));
      if ([...map.cells, ...this.#all].some(({ id }) => id === cell.id)) continue;
      const layout: Layout = { cells: [cell], gateways: [] };
      try {
        await checkPorts(layout, httpHostOf(settings));
        return cell;
      } catch (error) {
        reason = reasonOf(error);
      }
    }
    throw new Failure(reason);
  }

  /** Whether a cell that was removed knows it, has handed over all, and its call records are read. */
  async #hasHandedOver(cell: CellOfLayout): Promise<boolean> {
    const { api, apiAt, summaryOf } = this.#options;
    for (const until = performance.now() + toldMsMax; performance.now() < until; await delay(pollMs)) {
      try {
        const { cells } = await mapOf(apiAt(cell));
        const summary = await summaryOf(cell);
        const left = isTable(summary) ? summary["left"] : undefined;
        if (cells.some(({ id }) => id === cell.id) || !isListOf(left, isNumber) || left.length > 0) continue;
        await api().get("/api/calls?most=1");
        return true;
      } catch {
        // It is down, or about to end.
        return false;
      }
    }
    return false;
  }

  #become(cells: readonly CellOfLayout[]): void {
    const { state, changed } = this.#options;
    const known = state.readCluster();
    this.#all = cells.toSorted((one, other) => (one.id < other.id ? -1 : 1));
    if (known !== undefined) {
      const { letters: _before, ...rest } = known;
      const letters = this.#all.map(({ id }) => id);
      const isUsual = letters.join() === lettersOf({ cells: letters.length }).join();
      state.writeCluster({ ...withChanged(rest, "cells", letters.length), ...(isUsual ? {} : { letters }) });
    }
    changed(this.#all);
  }

  async #end({ id }: CellOfLayout): Promise<void> {
    await this.#options.supervisor.end(`cell ${id}`);
  }

  /** Of a cell that has nothing nothing is kept. */
  #forget(id: string): undefined {
    const { state } = this.#options;
    rmSync(state.file("cells", id), { recursive: true, force: true });
    rmSync(state.file(`cell-${id}.capnp`), { force: true });
    return undefined;
  }

  /** Gives the directory of a cell another name, which is returned; undefined: there is none. */
  #setAside(id: string, why: string): string | undefined {
    const { state } = this.#options;
    // It is written anew for one that starts.
    rmSync(state.file(`cell-${id}.capnp`), { force: true });
    const directory = state.file("cells", id);
    if (!existsSync(directory)) return undefined;
    const kept = `${directory}.${why}-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "")}`;
    try {
      renameSync(directory, kept);
    } catch (error) {
      throw new Failure(`${directory}: cannot be renamed: ${reasonOf(error)}`);
    }
    return kept;
  }
}

function placeOf({ host, location, weight }: Table): Pick<MapCell, "host" | "location" | "weight"> {
  return {
    ...(isText(host) ? { host } : {}),
    ...(isText(location) ? { location } : {}),
    ...(isNumber(weight) ? { weight } : {}),
  };
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}
