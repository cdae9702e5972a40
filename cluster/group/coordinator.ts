import { balance, type Standing } from "../assignment/balance.ts";
import { weightOf } from "../assignment/shares.ts";
import { healAfterMs } from "../limits.ts";
import type { ClusterMap } from "../map/cluster-map.ts";
import { isNewer, mapVersionOf, type MapVersion } from "../map/map-version.ts";
import { firstCountOf } from "../map/doubling.ts";
import { assignmentsOf, exchangesIn, isReplicated } from "../map/serving-cells.ts";
import type { Said } from "./heartbeat.ts";
import type { MapChange } from "./known-map.ts";
import { joinedIn, singleIn } from "./own-report.ts";
import { assignSingletons } from "./singletons.ts";
import { coordinatorOf, type HeartbeatSettings, type MemberState } from "./view.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A cell of the map, as this one sees it. */
export type SeenCell = {
  readonly id: string;
  readonly state: MemberState;
  /** Since when it is down, ms; undefined: it is not. */
  readonly downAt: SteadyMs | undefined;
  /** When it last said something, asked or not, ms. */
  readonly heardAt: SteadyMs | undefined;
  readonly said: Said;
  readonly mapVersion: MapVersion | undefined;
  readonly isEarlier: boolean;
};

export type Situation = {
  readonly map: ClusterMap;
  /** The version that a change would get. */
  readonly next: MapVersion;
  /** In the map's order, this cell too. */
  readonly cells: readonly SeenCell[];
  readonly isFenced: boolean;
  /** Nothing that was before this is held against anybody: this cell was not there to see it. */
  readonly graceFrom: SteadyMs;
};

/**
 * Decides what the map is to say, in the cell that is the coordinator: who does the services of the group, and which cells serve which exchange. The others
 * are asked for nothing. They hear the map, and the newest one counts.
 */
export class Coordinator {
  readonly #cell: string;
  #balancedAt: SteadyMs = Number.NEGATIVE_INFINITY;
  #version: MapVersion | undefined;

  constructor(cell: string) {
    this.#cell = cell;
  }

  /** What of the map is to be another; undefined: nothing, or it is not for this cell to say. */
  decide(situation: Situation, now: SteadyMs): MapChange | undefined {
    const { map, next, cells, graceFrom } = situation;
    const { periodMs } = map.heartbeat;
    // One that has just begun, or gone on, has not heard of the others what they know.
    const isHeard = heardOf(cells, map.heartbeat, now);
    if (!this.#isDecider(situation, isHeard) || now < graceFrom + periodMs) return undefined;
    const singletons = assignSingletons(
      map,
      (name) => cells.map(({ id, state, said }) => ({ id, state: isHeard(id) ? "up" : state, isFit: !said.unfit.includes(name) })),
      cells.flatMap(({ said }) => said.fences),
      next,
    );
    const assignments = this.#assignments(situation, isHeard, now);
    const doubling = leftToHandOver(map, cells, this.#cell);
    const isDoubled = doubling?.left === 0 && doubling.down.length === 0;
    if (singletons === undefined && assignments === undefined && !isDoubled) return undefined;
    return {
      ...(singletons === undefined ? {} : { singletons }),
      ...(assignments === undefined ? {} : { assignments }),
      ...(isDoubled ? { doubled: { first: firstCountOf(map) } } : {}),
    };
  }

  /**
   * This cell is the coordinator, as far as it sees. It does not decide when it is cut off, or when somebody has a newer map. A cell that comes before it and
   * is heard by others decides instead. So a cut between two of many cells does not have them write against each other.
   */
  #isDecider({ map, cells, isFenced }: Situation, isHeard: (cell: string) => boolean): boolean {
    const own = cells.find(({ id }) => id === this.#cell);
    const isSettled = own !== undefined && own.state !== "joining" && !isFenced;
    if (!isSettled || coordinatorOf(cells, this.#cell, map.preferred) !== this.#cell) return false;
    const version = mapVersionOf(map);
    if (cells.some(({ state, mapVersion }) => state !== "down" && mapVersion !== undefined && isNewer(mapVersion, version))) return false;
    const asOthersSee = cells.map((cell) => (isHeard(cell.id) ? { ...cell, state: "up" as const } : cell));
    return coordinatorOf(asOthersSee, this.#cell, map.preferred) === this.#cell;
  }

  /** Looked at once in a period, and not before what was written last is known. */
  #assignments({ map, cells, graceFrom }: Situation, isHeard: (cell: string) => boolean, now: SteadyMs): MapChange["assignments"] {
    const { periodMs } = map.heartbeat;
    const version = mapVersionOf(map);
    if (this.#version === undefined || isNewer(version, this.#version)) {
      this.#version = version;
      this.#balancedAt = now + periodMs;
    }
    // One of an earlier release does not hear of assignments, and goes on with those that it knows.
    const isUnderstood = cells.every(({ state, isEarlier }) => state === "down" || !isEarlier);
    if (!isUnderstood || !isReplicated(map) || now < this.#balancedAt + periodMs) return undefined;
    this.#balancedAt = now;
    const leaving = new Set(map.cells.filter((cell) => weightOf(cell) === 0).map(({ id }) => id));
    const { heartbeat, healAfterMs: waitMs = healAfterMs } = map;
    // One that is to have nothing is not waited for.
    const patienceWith = (cell: string): Patience => ({ heartbeat, waitMs: leaving.has(cell) ? 0 : waitMs });
    const standings = new Map(cells.map((cell) => [cell.id, standingOf(cell, isHeard(cell.id), graceFrom, patienceWith(cell.id), now)]));
    return balance({
      cells: map.cells,
      assignments: assignmentsOf(map),
      standingOf: (cell) => standings.get(cell) ?? "gone",
      single: singleIn(
        map,
        cells.map(({ id, said }) => ({ id, single: said.single })),
      ),
      joined: joinedIn(
        map,
        cells.map(({ id, said }) => ({ id, copies: said.copies })),
      ),
      copies: true,
    });
  }
}

/** What a doubling of the exchanges waits for. It is over when that is nothing. */
export type LeftToHandOver = {
  /** Replicas in cells that are not down which have not said that they have nothing left of younger exchanges. */
  readonly left: number;
  /** Cells that are down and have such replicas. What those have they bring when they are back, or others have got their places. */
  readonly down: readonly string[];
};

/** Undefined: exchanges are not being doubled. */
export function leftToHandOver(map: ClusterMap, cells: readonly SeenCell[], own: string): LeftToHandOver | undefined {
  if (map.doubled?.isUnderWay !== true) return undefined;
  const version = mapVersionOf(map);
  const leftIn = ({ id, said, mapVersion }: SeenCell): number => {
    const isOfThisMap = id === own || (mapVersion !== undefined && !isNewer(version, mapVersion));
    return exchangesIn(map, id).filter((exchange) => !isOfThisMap || !said.handedOver.includes(exchange)).length;
  };
  const down = cells.filter((cell) => cell.state === "down" && leftIn(cell) > 0);
  return {
    left: cells.reduce((left, cell) => (cell.state === "down" ? left : left + leftIn(cell)), 0),
    down: down.map(({ id }) => id),
  };
}

/** Whether a cell that is down here lives: another one hears it, or it has asked since, and has not answered yet. */
function heardOf(cells: readonly SeenCell[], { periodMs, missed }: HeartbeatSettings, now: SteadyMs): (cell: string) => boolean {
  const down = cells.filter(({ state }) => state === "down");
  const heard = new Set(down.length === 0 ? [] : cells.flatMap(({ state, said }) => (state === "down" ? [] : said.hears)));
  const alive = new Set<string>();
  for (const { id, heardAt = Number.NEGATIVE_INFINITY, downAt = now } of down) {
    if (heard.has(id) || (heardAt > downAt && now - heardAt < periodMs * missed)) alive.add(id);
  }
  return (cell) => alive.has(cell);
}

/** `waitMs`: for how long a cell that is down is waited for. */
type Patience = { readonly waitMs: number; readonly heartbeat: HeartbeatSettings };

/**
 * A cell is waited for as long as the map says since it was down. Who looks and stood still meanwhile first gives it the time to be heard again. It does not
 * wait all of that time once more: on a busy machine who looks stands still again and again, and nothing would ever be replaced.
 */
function standingOf(
  { state, downAt }: SeenCell,
  isHeard: boolean,
  graceFrom: SteadyMs,
  { waitMs, heartbeat }: Patience,
  now: SteadyMs,
): Standing {
  if (state === "up") return "up";
  if (state !== "down") return "busy";
  const heardMs = Math.min(waitMs, heartbeat.periodMs * heartbeat.missed);
  return isHeard || now - (downAt ?? now) < waitMs || now - graceFrom < heardMs ? "away" : "gone";
}
