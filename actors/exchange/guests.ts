import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { isKnownCell } from "../../cluster/map/serving-cells.ts";
import { parseBatch, serializeAnswer } from "../../cluster/replication/peer-batch.ts";
import { isParseError } from "../../sip/errors.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";

export type GuestsOptions = {
  /** Names this start of this replica. */
  readonly boot: string;
  readonly map: () => ClusterMap;
  readonly apply: (record: StateRecord) => void;
};

/**
 * Cells that have a replica of this exchange no more, by the map, and hand over what they have. Nothing is told them: what they bring is merged, and the
 * peer is told of it. Merging is commutative, so it does not matter when that is.
 */
export class Guests {
  readonly #options: GuestsOptions;
  /** By cell: which start of it, and up to where everything of that is known here. */
  readonly #guests = new Map<string, { readonly boot: string; received: number }>();

  constructor(options: GuestsOptions) {
    this.#options = options;
  }

  /** A batch of another cell than the peer's, be it one that was removed. The answer; undefined: it is none, or of nobody who was ever in the map. */
  take(text: string): string | undefined {
    const { boot, map, apply } = this.#options;
    const batch = parseBatch(text);
    if (isParseError(batch) || !isKnownCell(map(), batch.cell)) return undefined;
    const known = this.#guests.get(batch.cell);
    const guest = known?.boot === batch.boot ? known : { boot: batch.boot, received: 0 };
    this.#guests.set(batch.cell, guest);
    if (batch.peerBoot === boot && batch.after <= guest.received) {
      guest.received = Math.max(guest.received, batch.sequence);
      for (const record of batch.records) apply(record);
    }
    return serializeAnswer({ boot, received: guest.received, ahead: 0 });
  }
}
