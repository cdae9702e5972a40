import { isParseError } from "../../sip/errors.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import type { Proxy } from "../../sip/proxy/proxy.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import type { InviteServerTransaction, NonInviteServerTransaction } from "../../sip/transaction/transaction.ts";
import type { OrphanedInvites } from "./orphaned-invites.ts";
import type { Takeovers } from "./takeovers.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** RFC 3261 9.2, 16.10: a CANCEL finds its INVITE, be it in hand here, at the other replica, or known to nobody. */
export class Cancels {
  readonly #proxy: Proxy;
  readonly #takeovers: Takeovers;
  readonly #orphans: OrphanedInvites;

  constructor(proxy: Proxy, takeovers: Takeovers, orphans: OrphanedInvites) {
    this.#proxy = proxy;
    this.#takeovers = takeovers;
    this.#orphans = orphans;
  }

  /** `tx`: the INVITE's, when it is in hand. */
  receive(tx: InviteServerTransaction | undefined, cancelTx: NonInviteServerTransaction, message: SipMessage, now: SteadyMs): void {
    const invite = tx ?? this.#takeovers.adoptedForCancel(message, now);
    if (invite === undefined && this.#orphans.cancel(cancelTx, message, now)) return;
    if (tx === undefined && invite !== undefined) this.#orphans.remember(cancelTx, message, now);
    this.#proxy.cancel(invite, cancelTx, message, now);
    if (invite !== undefined) this.#orphans.alsoCancel(cancelTx, message, invite.owner, now);
  }

  /** The other replica has an INVITE in hand whose CANCEL was answered here: it did not know of that. True: it is cancelled now. */
  cancelEarly({ key, value }: StateRecord<"invite">, now: SteadyMs): boolean {
    if (!this.#orphans.hasEarlyCancels || value === undefined) return false;
    // A 2xx has passed here behind the CANCEL: its caller has been answered, and the other replica hears of the dialog.
    if (value.branches.some(({ branch }) => this.#takeovers.hasPassed(branch))) return false;
    const message = parseMessage(octetsOf(value.request));
    if (isParseError(message)) return false;
    const early = this.#orphans.earlyCancelOf(key, message, value.flow, now);
    const invite = early === undefined ? undefined : this.#takeovers.adoptedForCancel(early.message, now);
    if (early === undefined || invite === undefined) return false;
    this.#proxy.cancel(invite, early.tx, early.message, now);
    return true;
  }
}
