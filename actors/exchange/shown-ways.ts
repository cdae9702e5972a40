import type { View } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import { accessOfFlow, isLine } from "../../sip/flow/flow.ts";
import type { Accesses } from "./accesses.ts";

/** What people are told of who serves a phone, and by which way: nobody who is dead. */

/** The cell that serves an exchange: its primary if that is in service, else the other one. The one that says so does when neither seems to. */
export function servedBy(map: ClusterMap, exchange: number, own: string, cells: View["cells"] | undefined): string {
  const pair = servingCells(map, exchange);
  if (cells === undefined) return pair[0] ?? own;
  for (const wanted of ["up", "draining"] as const) {
    const serving = pair.find((cell) => cells.some(({ id, state }) => id === cell && state === wanted));
    if (serving !== undefined) return serving;
  }
  return own;
}

/**
 * The access that a flow is reached by now: its own, or another gateway that has a way to the same address. A gateway may have lost its way to this cell
 * alone: while others see it, it serves. Empty: there is none.
 */
export function wayOf(flow: string, accesses: Accesses, gateways: View["gateways"] | undefined): string {
  const usable = accesses.usable(flow);
  if (usable !== undefined) return accessOfFlow(usable);
  const access = accessOfFlow(flow);
  if (gateways === undefined) return access;
  return !isLine(access) && gateways.some(({ id, state }) => id === access && state !== "down") ? access : "";
}
