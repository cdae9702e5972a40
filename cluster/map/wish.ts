import { gatewaysWeighedMax } from "../limits.ts";
import type { WallMs } from "../../sip/time.ts";
import { type CertificateOrder, certificateOrdered } from "./certificate-order.ts";
import type { ClusterMap, Domain, DrainingGateway, MapGateway } from "./cluster-map.ts";
import { addingFault, domainAdded, domainRemoved, removingFault } from "./domains.ts";
import { gatewayDrained, gatewayWeighed } from "./gateways.ts";
import { type UsedInvitation, usingFault, withUsed } from "./invitations.ts";
import { cellWeighed, weighingFault } from "./map-change.ts";
import { type CellPlace, cellsMoved } from "./moved-cells.ts";
import { type HostOrder, orderFinished, orderGiven, type OrderOutcome, withGatewayDrained } from "./orders.ts";
import { additionFault, invitedNumberFault, type Member, membersWith, removalFault, withoutMember } from "./members.ts";

/** One thing that the operator wants another, without having looked at the whole map. The coordinator makes a change of the newest map from it. */
export type Wish =
  | { readonly addDomain: Pick<Domain, "name" | "auth"> }
  | { readonly removeDomain: string }
  | { readonly weighGateway: MapGateway }
  | { readonly drainGateway: DrainingGateway }
  | { readonly undrainGateway: string }
  | { readonly weighCell: { readonly id: string; readonly weight: number } }
  | { readonly addMembers: readonly Member[]; readonly by?: UsedInvitation }
  | { readonly removeMember: string }
  | { readonly orderCertificate: CertificateOrder }
  | { readonly moveCells: readonly CellPlace[]; readonly host: string }
  | { readonly giveOrder: HostOrder }
  | { readonly finishOrder: OrderOutcome & { readonly id: string; readonly host: string } };

type Change =
  | Pick<ClusterMap, "domains" | "addedDomains">
  | Pick<ClusterMap, "gateways">
  | Pick<ClusterMap, "cells" | "formerUrls">
  | Pick<ClusterMap, "certificateOrder">
  | Pick<ClusterMap, "drainingGateways">
  | Pick<ClusterMap, "members" | "revoked" | "invitations">
  | Pick<ClusterMap, "orders" | "drainingGateways">;

/** What is to change in a map, or why nothing does. `now`: by the clock of who writes it. */
export function changeFor(map: ClusterMap, wish: Wish, now: WallMs): Change | { readonly refused: string } {
  if ("addDomain" in wish) {
    const refused = addingFault(map, wish.addDomain.name);
    if (refused !== undefined) return { refused };
    // Phones are asked by the algorithms of the first domain.
    const digest = map.domains[0]?.digest;
    return domainAdded(map, { ...wish.addDomain, ...(digest === undefined ? {} : { digest }) });
  }
  if ("removeDomain" in wish) {
    const refused = removingFault(map, wish.removeDomain);
    return refused === undefined ? domainRemoved(map, wish.removeDomain) : { refused };
  }
  if ("weighCell" in wish) {
    const { id, weight } = wish.weighCell;
    const refused = weighingFault(map, id, weight);
    return refused === undefined ? { cells: cellWeighed(map, id, weight) } : { refused };
  }
  if ("undrainGateway" in wish) return gatewayDrained(map, wish.undrainGateway, undefined);
  if ("drainGateway" in wish) {
    const change = gatewayDrained(map, wish.drainGateway.id, wish.drainGateway);
    return change.drainingGateways.length > gatewaysWeighedMax
      ? { refused: `${gatewaysWeighedMax} gateways are drained, and no more can be` }
      : change;
  }
  if ("addMembers" in wish) {
    const { addMembers, by } = wish;
    const refused = additionFault(map, addMembers) ?? (by === undefined ? undefined : invitedFault(map, addMembers, by, now));
    if (refused !== undefined) return { refused };
    return { members: membersWith(map, addMembers), ...(by === undefined ? {} : withUsed(map, by, now)) };
  }
  if ("removeMember" in wish) {
    const refused = removalFault(map, wish.removeMember);
    return refused === undefined ? removed(map, wish.removeMember) : { refused };
  }
  if ("orderCertificate" in wish) return certificateOrdered(map, wish.orderCertificate, now);
  if ("moveCells" in wish) return cellsMoved(map, wish.host, wish.moveCells);
  if ("giveOrder" in wish) {
    const change = orderGiven(map, wish.giveOrder, now);
    return "refused" in change ? change : { ...change, ...withGatewayDrained(map, wish.giveOrder) };
  }
  if ("finishOrder" in wish) {
    const { id, host, isDone, text, at } = wish.finishOrder;
    return orderFinished(map, host, id, { isDone, text, at }) ?? { refused: `nobody waits for order ${id}` };
  }
  const change = gatewayWeighed(map, wish.weighGateway);
  return (change.gateways?.length ?? 0) > gatewaysWeighedMax
    ? { refused: `${gatewaysWeighedMax} gateways have a weight, and no more can` }
    : change;
}

function invitedFault(map: ClusterMap, members: readonly Member[], by: UsedInvitation, now: WallMs): string | undefined {
  return usingFault(map, by, now) ?? invitedNumberFault(map, by.host, members);
}

/** What was said of a gateway goes with it: its name may be given to another one. */
function removed(map: ClusterMap, id: string): Change {
  const left = withoutMember(map, id);
  const isLeft = (gateway: { readonly id: string }): boolean => left.members.some((member) => member.id === gateway.id);
  return {
    ...left,
    ...(map.drainingGateways === undefined ? {} : { drainingGateways: map.drainingGateways.filter(isLeft) }),
    ...(map.gateways === undefined ? {} : { gateways: map.gateways.filter(isLeft) }),
  };
}
