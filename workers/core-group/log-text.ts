import type { Change, View } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { mapVersionOf, mapVersionText } from "../../cluster/map/map-version.ts";

/** What the log of a cell says of another heartbeat in a newer map: nothing where that is as before. */
export function heartbeatTexts(before: ClusterMap, map: ClusterMap): string[] {
  const { periodMs, missed } = map.heartbeat;
  if (before.heartbeat.periodMs === periodMs && before.heartbeat.missed === missed) return [];
  return [`map ${mapVersionText(mapVersionOf(map))}: a heartbeat every ${periodMs} ms, down when ${missed} are missed`];
}

function lacks({ cells }: ClusterMap, cell: string): boolean {
  return cells.every(({ id }) => id !== cell);
}

/** Of the cells that a newer map has, or has not any more. */
export function comingAndGoing(own: string, before: ClusterMap, map: ClusterMap): string[] {
  const added = map.cells.filter(({ id }) => lacks(before, id)).map(({ id }) => id);
  const removed = before.cells.filter(({ id }) => lacks(map, id)).map(({ id }) => id);
  return [
    ...added.map((id) => (id === own ? "it is a member from now on" : `cell ${id} is a member from now on`)),
    ...removed.map((id) =>
      id === own ? "it is a member no more: it hands over what it has, and rests" : `cell ${id} is a member no more`,
    ),
  ];
}

/** Why a cell is fenced, as its log says it. */
export function fencedText({ cell, cells }: View): string {
  const hearsOthers = cells.some(({ id, state }) => id !== cell && state !== "down");
  const lost = hearsOthers ? "all gateways are lost to it and to the cells that it hears" : "it reaches no other cell and no gateway";
  return `fenced: ${lost}: registrations are refused (503)`;
}

/** A change of the view. */
export function changeText(cell: string, { epoch, kind, id, from, to, cause, detail }: Change): string {
  return `cell ${cell}: view ${epoch}: ${kind} ${id} is ${to}, was ${from}: ${cause}${detail === "" ? "" : ` (${detail})`}`;
}
