import { weightOf } from "../../cluster/assignment/shares.ts";
import type { Group, MapAnswer } from "../../schemas/api-answers.ts";
import { Failure } from "../errors.ts";

/** Throws a {@link Failure} where something would be lost. */
export function checkRemoval(
  cell: string,
  { cells }: Pick<MapAnswer, "cells">,
  group: Group,
  how: { readonly isMeant: boolean; readonly isOfHere: boolean },
): void {
  const own = cells.find(({ id }) => id === cell);
  if (own === undefined) throw new Failure(`there is no cell ${cell}`);
  const able = cells.filter((each) => each.id !== cell && weightOf(each) > 0 && stateOf(group, each.id) === "up").map(({ id }) => id);
  if (able.length < 2) {
    const left = able.length === 0 ? "no other cell could" : `cell ${able.join("")} alone would have to`;
    throw new Failure(`cell ${cell} stays: ${left} take over what it has, and each record is to be in two cells`);
  }
  const reason = reasonToStay(exchangesWith(cell, group));
  if (reason !== undefined) throw new Failure(`cell ${cell} stays: ${reason}`);
  if (stateOf(group, cell) === "down" && !how.isMeant) {
    const then = how.isOfHere ? "its directory is kept then, and nothing reads it" : "then it hands that over, should it come back";
    throw new Failure(`cell ${cell} is down, and may have what nobody else has: start it first, or say --yes; ${then}`);
  }
}

function reasonToStay(exchanges: Group["exchanges"]): string | undefined {
  const unserved = exchanges.find(({ state }) => state === "unserved");
  if (unserved !== undefined) {
    const { exchange, primary, secondary } = unserved;
    return `what exchange ${exchange} knows is in cells ${primary} and ${secondary} only, and neither serves it`;
  }
  const unknown = exchanges.find(({ state }) => state === "unknown");
  if (unknown === undefined) return undefined;
  return `it is not known who serves exchange ${unknown.exchange}, for ${unknown.cause ?? "a cell has not answered"} in time; try it again`;
}

/** The exchanges that a cell has a replica of. */
export function exchangesWith(cell: string, { exchanges }: Group): Group["exchanges"] {
  return exchanges.filter(({ primary, secondary }) => [primary, secondary].includes(cell));
}

/** How many replicas a cell has, or is being told of. */
export function replicasIn({ assignments }: Pick<MapAnswer, "assignments">, cell: string): number {
  return assignments.filter(({ primary, secondary, joining }) => [primary, secondary, joining].includes(cell)).length;
}

/** What a cell that leaves waits for; undefined: nothing that is known here. */
export function waitsFor(cell: string, map: Pick<MapAnswer, "assignments">, group: Group): string | undefined {
  const has = replicasIn(map, cell);
  const member = group.members.find(({ id, kind }) => id === cell && kind === "cell");
  if (has === 0 && member?.left !== undefined && member.left > 0)
    return `cell ${cell} hands over what it has left of ${exchangesOf(member.left)}`;
  if (has === 0) return member?.softphonesLeft === undefined ? undefined : `${member.softphonesLeft} softphones have not gone elsewhere`;
  const copied = map.assignments.flatMap(({ joining }, exchange) => (joining === undefined ? [] : [`exchange ${exchange} to ${joining}`]));
  if (copied.length > 0) return `${copied.join(", ")} on the way`;
  const lone = group.exchanges.filter(({ state }) => state !== "paired").map(({ exchange, state }) => `exchange ${exchange} is ${state}`);
  if (lone.length > 0) return lone.join(", ");
  return `cell ${group.coordinator}, the coordinator, has begun no move yet`;
}

function exchangesOf(count: number): string {
  return count === 1 ? "1 exchange" : `${count} exchanges`;
}

/** A cell that the group does not name is taken for down. */
export function stateOf({ members }: Group, cell: string): string {
  return members.find(({ id, kind }) => id === cell && kind === "cell")?.state ?? "down";
}
