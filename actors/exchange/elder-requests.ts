import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { eldersOf } from "../../cluster/map/doubling.ts";
import { routingKeyOf, type RoutingKey } from "../../cluster/map/routing-key.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import { serverKey } from "../../sip/transaction/matching.ts";
import type { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import { elderAskedMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type ElderRequestsOptions = {
  readonly exchange: number;
  readonly map: () => ClusterMap;
  readonly store: RecordStore;
  readonly transactions: TransactionLayer;
  readonly startedAt: SteadyMs;
};

const none: readonly number[] = [];

/**
 * Requests that are for another exchange since the exchanges were doubled. An INVITE that came before is with the elder, for as long as it rings. Its CANCEL, its
 * ACK and its copies name nothing but the address-of-record, so they come to the younger one, which brings them to the elder. And whoever works from an older map
 * brings to the elder what is for the younger one.
 */
export class ElderRequests {
  readonly #options: ElderRequestsOptions;
  #map: ClusterMap | undefined;
  #elders: readonly number[] = none;
  /** All that belongs to younger exchanges has been given to them, and is here no more. */
  isHandedOver = false;

  constructor(options: ElderRequestsOptions) {
    this.#options = options;
  }

  /** The exchanges to be asked whether they have the INVITE of this request in hand. */
  askedFor(message: SipMessage, now: SteadyMs): readonly number[] {
    const elders = this.#eldersNow();
    if (elders.length === 0 || !this.#mayBeTheirs(message, now) || this.hasInvite(message)) return none;
    return this.#keyOf(message)?.cell === undefined ? elders : none;
  }

  /** The exchange that a request is for; undefined: this one, or it belongs to something here. */
  placeOf(message: SipMessage): number | undefined {
    const { exchange, map, transactions } = this.#options;
    if (map().doubled === undefined || !message.isRequest) return undefined;
    const key = this.#keyOf(message);
    if (key === undefined || key.exchange === exchange || this.hasInvite(message)) return undefined;
    // What a token names has been there from the first. What a name belongs to is here until it has been given away.
    if (key.cell === undefined && !this.isHandedOver) return undefined;
    return transactions.serverStatus(serverKey(message, message.method)) === undefined ? key.exchange : undefined;
  }

  /** Whether an INVITE is in hand here, or at the other replica, or was: by any request that belongs to it. */
  hasInvite(message: SipMessage): boolean {
    const key = serverKey(message, "INVITE");
    if (key === undefined) return false;
    return this.#options.transactions.serverStatus(key) !== undefined || this.#options.store.get("invite", key) !== undefined;
  }

  #mayBeTheirs({ isRequest, method, toTag }: SipMessage, now: SteadyMs): boolean {
    if (!isRequest || method === "CANCEL") return isRequest;
    // For so long a copy may come, and an ACK is waited for.
    if (now - this.#options.startedAt > elderAskedMs) return false;
    return method === "ACK" || (method === "INVITE" && toTag === undefined);
  }

  /** Where accesses bring a request to, by the newest map. One with a cell is by a token: that leads where it was made. */
  #keyOf({ octets, start, end }: SipMessage): RoutingKey | undefined {
    return routingKeyOf(octets, start, end, this.#options.map());
  }

  #eldersNow(): readonly number[] {
    const map = this.#options.map();
    if (map !== this.#map) {
      this.#map = map;
      this.#elders = eldersOf(map, this.#options.exchange);
    }
    return this.#elders;
  }
}
