import type { ClusterMap } from "../map/cluster-map.ts";
import type { MapVersion } from "../map/map-version.ts";
import { type GatewayReport, type Heartbeat, nothingSaid, type Said, saidIn, versionIn } from "./heartbeat.ts";
import type { Cause, MemberState, SeenCause } from "./view.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Why a heartbeat was not answered. `refused`: there is no connection to be had, or it was closed under way. `not a cell`: something that is no cell has
 * answered, Cloudflare itself perhaps. `slow`: the cell has read it too late to take its signature.
 */
export type Failure = "refused" | "slow" | "timeout" | "bad signature" | "another version" | "not a cell" | "error";

/** Another cell, as this one sees it. Plain data; the functions here change it and say when its state is another one. */
export type CellMember = {
  readonly id: string;
  state: MemberState;
  /** Its own epoch, as it last said; 0: never heard. */
  epoch: number;
  /** By the clock of the one who looks, ms. */
  heardAt: SteadyMs | undefined;
  /** Regular heartbeats in a row that were not answered. */
  missed: number;
  /** Connections refused in a row. */
  refused: number;
  suspicion: Cause | undefined;
  /** What came in place of an answer to the latest heartbeat, in words; empty: an answer did, or nothing. */
  hindrance: string;
  /** What was last said of it because it speaks another version; empty: it does not, as far as is known. */
  otherVersion: string;
  /** Something about it was learnt since the group started, be it that nobody is there. */
  isKnown: boolean;
  boot: string;
  sequence: number;
  /** Of the map that it last said to have; undefined: it has said nothing, or is of a release whose maps do not change. */
  mapVersion: MapVersion | undefined;
  /** It has answered in the way of a release whose maps do not change. */
  isEarlier: boolean;
  /** Since when it is down, ms. */
  downAt: SteadyMs | undefined;
  /** There and back, as its latest answers took, ms. Undefined: it has not answered. */
  delayMs: number | undefined;
  /** What it last said of gateways, by their ids. */
  gateways: ReadonlyMap<string, GatewayReport>;
  /** What it last said of other cells, of exchanges, and of services. */
  said: Said;
  /** What it knows this cell to be, by the latest heartbeat that it has answered; undefined: none since it started. */
  told: Told | undefined;
};

/** What a heartbeat says of the cell that sends it. */
export type Told = Pick<Heartbeat, "sequence" | "state">;

/** What follows for the member's state; `detail` is for people. */
export type Turn = { readonly to: MemberState; readonly cause: Cause; readonly detail: string };

export function newCellMember(id: string): CellMember {
  return {
    id,
    state: "joining",
    epoch: 0,
    heardAt: undefined,
    missed: 0,
    refused: 0,
    suspicion: undefined,
    hindrance: "",
    otherVersion: "",
    isKnown: false,
    boot: "",
    sequence: 0,
    mapVersion: undefined,
    isEarlier: false,
    downAt: undefined,
    delayMs: undefined,
    gateways: new Map(),
    said: nothingSaid,
    told: undefined,
  };
}

/** It answered what it was told, after so long: whatever was suspected is not so. */
export function answered(member: CellMember, heartbeat: Heartbeat, told: Told, tookMs: number, now: SteadyMs): Turn | undefined {
  const known = heartbeat.boot === member.boot ? member.told : undefined;
  if (known === undefined || known.sequence < told.sequence) member.told = told;
  member.delayMs = member.delayMs === undefined ? tookMs : member.delayMs + (tookMs - member.delayMs) * newDelayPart;
  member.missed = 0;
  member.refused = 0;
  member.suspicion = undefined;
  member.hindrance = "";
  member.otherVersion = "";
  member.isKnown = true;
  return learn(member, heartbeat, now, true);
}

/**
 * Takes what it says of itself. Being told is not being answered. A member that is down stays so until it has answered, because what it is needed for
 * goes that way.
 */
export function learn(member: CellMember, heartbeat: Heartbeat, now: SteadyMs, isAnswer: boolean): Turn | undefined {
  const wasHeard = member.heardAt !== undefined;
  member.heardAt = now;
  if (heartbeat.boot !== member.boot || heartbeat.sequence > member.sequence) {
    if (heartbeat.boot !== member.boot && !isAnswer) member.told = undefined;
    member.boot = heartbeat.boot;
    member.sequence = heartbeat.sequence;
    member.epoch = heartbeat.epoch;
    member.mapVersion = versionIn(heartbeat);
    member.isEarlier = member.mapVersion === undefined;
    if (member.state !== "down" || isAnswer) {
      member.gateways = new Map(heartbeat.gateways.map((report) => [report.id, report]));
      member.said = saidIn(heartbeat);
    }
  } else if (member.state !== "down") {
    return undefined;
  }
  if (heartbeat.state === member.state || (member.state === "down" && !isAnswer)) return undefined;
  return { to: heartbeat.state, cause: causeOf(member.state, heartbeat.state, wasHeard), detail: "" };
}

function causeOf(from: MemberState, to: Heartbeat["state"], wasHeard: boolean): Cause {
  if (from === "down") return wasHeard ? "returned" : "joined";
  if (to === "draining") return "drained";
  if (to === "joining") return "restarted";
  if (from === "draining") return "returned";
  return wasHeard ? "ready" : "joined";
}

/** Those that live, and have not answered since this cell is what it is. What they have heard in other ways is not known. */
export function unheardBy(others: ReadonlyMap<string, CellMember>, own: MemberState): string[] {
  return [...others.values()].filter(({ state, told }) => state !== "down" && told?.state !== own).map(({ id }) => id);
}

/**
 * Somebody else has seen it end. True: it is to be probed, for that is news. A connection that closed says more than one that is not to be had, and
 * both say more than silence. A refusal that somebody saw counts as one of ours.
 */
export function suspect(member: CellMember, seen: SeenCause): boolean {
  const { suspicion } = member;
  if (member.state === "down" || suspicion === seen || suspicion === "closed socket") return false;
  if (seen === "connection refused") member.refused = Math.max(member.refused, 1);
  if (suspicion === undefined || seen !== "missed heartbeats") member.suspicion = seen;
  return true;
}

/** Nobody is there: suspicion at once. Down when it is confirmed, by a second refusal or by somebody who saw a connection close. */
export function refused(member: CellMember): Turn | "probe" | undefined {
  member.isKnown = true;
  member.refused += 1;
  if (member.state === "down") return undefined;
  const closed = member.suspicion === "closed socket";
  if (!closed && member.refused < 2) {
    member.suspicion = "connection refused";
    return "probe";
  }
  return closed
    ? { to: "down", cause: "closed socket", detail: "and refuses connections" }
    : { to: "down", cause: "connection refused", detail: "twice" };
}

/** It answered, and has only read too late what we had sent. Who is slow is alive (docs/decisions/0022): one that is down stays so until it has said more. */
export function readLate(member: CellMember): void {
  member.missed = 0;
  member.refused = 0;
  member.suspicion = undefined;
}

/** A regular heartbeat was not answered: one is a suspicion, so many in a row as the settings say are a fact. */
export function missed(member: CellMember, failure: Failure, missedMax: number): Turn | undefined {
  member.isKnown = true;
  member.missed += 1;
  if (member.state === "down") return undefined;
  const cause: Cause = failure === "bad signature" || failure === "not a cell" ? failure : "missed heartbeats";
  const why = member.hindrance === "" ? "" : `: ${member.hindrance}`;
  if (member.missed >= missedMax) return { to: "down", cause, detail: `${member.missed} in a row${why}` };
  member.suspicion ??= cause;
  return undefined;
}

/** It speaks another version: down at once. Said once, also of one that was down already; `text` names both versions. */
export function speaksOtherVersion(member: CellMember, text: string): Turn | undefined {
  member.isKnown = true;
  member.missed += 1;
  if (member.otherVersion === text) return undefined;
  member.otherVersion = text;
  return { to: "down", cause: "another version", detail: text };
}

/** The other cells of a map are members, and nobody else is. */
export function meetMembers(members: Map<string, CellMember>, map: ClusterMap, own: string): void {
  const ids = new Set(map.cells.map(({ id }) => id));
  ids.delete(own);
  for (const id of members.keys()) if (!ids.has(id)) members.delete(id);
  for (const id of ids) if (!members.has(id)) members.set(id, newCellMember(id));
}

/** The state changes for good: what was suspected is over either way. */
export function turn(member: CellMember, to: MemberState, now: SteadyMs): void {
  member.state = to;
  member.suspicion = undefined;
  member.downAt = to === "down" ? now : undefined;
  // What it last said of others is not so any more. What it has handed over others have.
  if (to !== "down") return;
  member.gateways = new Map();
  member.said = { ...nothingSaid, handedOver: member.said.handedOver };
}

/** How much the latest answer counts in the delay that is shown: one that came late does not say much. */
const newDelayPart = 0.25;
