import { RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { isParseError } from "../../sip/errors.ts";
import { joinFlow } from "../../sip/flow/flow.ts";
import { parseMessage } from "../../sip/message/sip-message.ts";
import type { DialogSide } from "../../sip/record/values.ts";
import type { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import type { Whereabouts } from "./whereabouts.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** Messages that did not arrive: their transactions hear of it, and what has none is tried where its phone is now. */
export class Undeliverables {
  readonly #transactions: TransactionLayer;
  readonly #whereabouts: Whereabouts;
  #isReturning = false;

  constructor(transactions: TransactionLayer, whereabouts: Whereabouts) {
    this.#transactions = transactions;
    this.#whereabouts = whereabouts;
  }

  /** While messages come back that could not be brought to their access: that says nothing about the phones behind it. */
  get isReturning(): boolean {
    return this.#isReturning;
  }

  /**
   * `isWayMissing`: it has not left, for want of a way to its access. `client`: the side of a dialog that a response without a transaction is for, as
   * it was before that response ended it.
   */
  cameBack(octets: Uint8Array, flow: string, now: SteadyMs, isWayMissing = false, client?: DialogSide): void {
    const message = parseMessage(octets);
    if (isParseError(message)) return;
    if (message.isRequest && message.method === "ACK") this.#whereabouts.ackLost(message, flow, now);
    else if (!this.#transactions.undeliverable(message, flow, now, isWayMissing) && !message.isRequest) {
      this.#whereabouts.strayLost(message, flow, client, now);
    }
  }

  /** All that could not be brought to an access. */
  cameBackFrom(access: string, records: readonly FrameRecord[], now: SteadyMs): void {
    this.#isReturning = true;
    for (const { kind, key, octets } of records) if (kind === RecordKind.send) this.cameBack(octets, joinFlow(access, key), now);
    this.#isReturning = false;
  }
}
