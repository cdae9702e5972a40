import type { WallMs } from "../../sip/time.ts";
import type { ClusterMap } from "./cluster-map.ts";

/**
 * A host orders a certificate for the gateways of several machines, and no other one does meanwhile. What the authority asks for over HTTP any of them may be asked
 * for: so all answer it. It is no secret (docs/decisions/0057).
 */
export type CertificateOrder = {
  readonly host: string;
  /** By then it is over, whatever becomes of the host. It is over already: that was then. */
  readonly until: WallMs;
  readonly challenges: readonly Challenge[];
};

/** What stands at a path of HTTP-01 (RFC 8555 8.3), and what is answered there. */
export type Challenge = { readonly token: string; readonly answer: string };

/** What a map says when a host orders, has other challenges, or is done. Refused while another one orders. */
export function certificateOrdered(
  { certificateOrder: known }: Pick<ClusterMap, "certificateOrder">,
  order: CertificateOrder,
  now: WallMs,
): Required<Pick<ClusterMap, "certificateOrder">> | { readonly refused: string } {
  const isOpen = known !== undefined && known.until > now;
  return isOpen && known.host !== order.host
    ? { refused: `host ${known.host} orders a certificate: one at a time does` }
    : { certificateOrder: order };
}

/** What is to be answered at this time, and by whose order; undefined: nothing is ordered. */
export function openOrderOf({ certificateOrder }: Pick<ClusterMap, "certificateOrder">, now: WallMs): CertificateOrder | undefined {
  return certificateOrder !== undefined && certificateOrder.until > now ? certificateOrder : undefined;
}
