import type { ClusterMap } from "../map/cluster-map.ts";
import { mayBeGateway } from "../map/members.ts";
import { leftShownMs } from "../limits.ts";
import { type CellMember, unheardBy } from "./cell-member.ts";
import { type GatewayMember, pingsMissed } from "./gateway-member.ts";
import type { GroupStatus } from "./group-effects.ts";
import type { View } from "./view.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** What the cell that looks knows of all members. */
export function statusOf(
  view: View,
  map: ClusterMap,
  others: ReadonlyMap<string, CellMember>,
  gateways: ReadonlyMap<string, GatewayMember>,
  now: SteadyMs,
): GroupStatus {
  const heardMsOf = (heardAt: SteadyMs | undefined): number | undefined => (heardAt === undefined ? undefined : Math.max(0, now - heardAt));
  return {
    view,
    map,
    cells: view.cells.map(({ id, state }) => {
      const other = others.get(id);
      const own = { heardMs: 0, missed: 0, suspicion: undefined, unheardBy: unheardBy(others, state) };
      if (other === undefined) return { id, state, epoch: view.epoch, ...own };
      const { epoch, missed, suspicion } = other;
      const hindrance = other.hindrance === "" ? undefined : other.hindrance;
      const delayMs = state === "down" ? undefined : other.delayMs;
      return { id, state, epoch, heardMs: heardMsOf(other.heardAt), missed, suspicion, hindrance, delayMs };
    }),
    gateways: view.gateways.flatMap(({ id, state }) => {
      const gateway = gateways.get(id);
      if (gateway === undefined || !mayBeGateway(map, id) || (gateway.isLeft && now - gateway.downAt >= leftShownMs)) return [];
      const { isLeft, heardAt, suspicion } = gateway;
      const missed = isLeft ? 0 : pingsMissed(gateway, map.heartbeat, now);
      return [{ id, state: isLeft ? "left" : state, heardMs: heardMsOf(heardAt), missed, suspicion }];
    }),
  };
}
