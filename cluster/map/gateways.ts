import type { ClusterMap, DrainingGateway, MapGateway } from "./cluster-map.ts";

/** Which share of the phones a gateway is to get, beside the others. What nobody has said is 1. */
export function weightOfGateway({ gateways = [] }: Pick<ClusterMap, "gateways">, id: string): number {
  return gateways.find((gateway) => gateway.id === id)?.weight ?? 1;
}

/** What the map says of gateways when one has another weight. A map says nothing of those that have the usual one. */
export function gatewayWeighed({ gateways = [] }: Pick<ClusterMap, "gateways">, { id, weight }: MapGateway): Pick<ClusterMap, "gateways"> {
  const others = gateways.filter((gateway) => gateway.id !== id);
  return { gateways: weight === 1 ? others : [...others, { id, weight }] };
}

/** What the map says when a gateway is taken out of service, or back. The deadline is that of the last order. */
export function gatewayDrained(
  { drainingGateways = [] }: Pick<ClusterMap, "drainingGateways">,
  id: string,
  draining: DrainingGateway | undefined,
): Required<Pick<ClusterMap, "drainingGateways">> {
  const others = drainingGateways.filter((gateway) => gateway.id !== id);
  return { drainingGateways: draining === undefined ? others : [...others, draining] };
}

/** A gateway's state, as people are shown it: one that is up and is being drained says so. */
export function shownState<State extends string>(
  { drainingGateways = [] }: Pick<ClusterMap, "drainingGateways">,
  { id, state }: { readonly id: string; readonly state: State },
): State | "draining" {
  return state === "up" && drainingGateways.some((gateway) => gateway.id === id) ? "draining" : state;
}
