import type { CellMember } from "./cell-member.ts";
import { areLost, type GatewayMember } from "./gateway-member.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** Whether a cell must take no registrations: it reaches no other cell and no gateway, or all gateways are lost to it and to all that it hears. */
export function isCutOff(others: readonly CellMember[], gateways: readonly GatewayMember[], now: SteadyMs): boolean {
  const isAlone = others.length > 0 && others.every(({ state }) => state === "down");
  const reachesNone = gateways.length > 0 && gateways.every(({ isUp }) => isUp === false);
  return isAlone ? reachesNone : others.length > 0 && areLost(gateways, now);
}
