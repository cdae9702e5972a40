import { isParseError } from "../../sip/errors.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { Proxy } from "../../sip/proxy/proxy.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import type { Accesses } from "./accesses.ts";
import type { DialogKeeper } from "./dialog-keeper.ts";
import type { OrphanedInvites } from "./orphaned-invites.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Takeovers } from "./takeovers.ts";
import type { Undeliverables } from "./undeliverables.ts";
import { isReliableFlow } from "./whereabouts.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type StrayResponsesOptions = {
  readonly store: RecordStore;
  readonly proxy: Proxy;
  readonly transactions: TransactionLayer;
  readonly accesses: Accesses;
  readonly dialogs: DialogKeeper;
  readonly takeovers: Takeovers;
  readonly orphans: OrphanedInvites;
  readonly outgoing: Outgoing;
  readonly undeliverables: Undeliverables;
};

/** Responses without a transaction here: another replica forwarded their requests, or an earlier start of this one. */
export class StrayResponses {
  readonly #options: StrayResponsesOptions;

  constructor(options: StrayResponsesOptions) {
    this.#options = options;
  }

  /** The INVITE of a response is taken up, or the response goes on by its Vias. */
  receive(message: SipMessage, flow: string, now: SteadyMs): void {
    const { takeovers, transactions, orphans, proxy } = this.#options;
    const { status, topVia: via, cSeq } = message;
    if (isParseError(via) || via.branch === undefined || isParseError(cSeq)) return;
    const { branch } = via;
    const isOfInvite = cSeq.method === "INVITE";
    const isSaidOnce = status >= 300 ? isReliableFlow(flow) : status >= 200;
    const known = isOfInvite ? takeovers.ofResponse(branch, flow, isSaidOnce, now) : undefined;
    if (known === "adopted") return transactions.receive(message, flow, now);
    // Only the replica that has it in hand can acknowledge a refusal, and try another phone.
    if (known === "gone" || (known === "theirs" && status >= 300)) return;
    if (isOfInvite && status >= 300 && orphans.refused(message, branch)) return;
    if (isOfInvite && status >= 300 && takeovers.hasEnded(message)) return;
    const byVia = proxy.strayResponse(message, now);
    if (byVia === undefined) return;
    const onwardFlow = orphans.callerOf(branch) ?? byVia.flow;
    if (isOfInvite && status < 300 && status >= 200) takeovers.passed(branch, message);
    if (known === undefined) orphans.answered(message, branch, byVia.flow, now);
    this.#passOn(message, flow, byVia.octets, onwardFlow, isOfInvite, now);
  }

  #passOn(message: SipMessage, flow: string, octets: Uint8Array, onwardFlow: string, isOfInvite: boolean, now: SteadyMs): void {
    const { dialogs, accesses, undeliverables, outgoing, store } = this.#options;
    // Before the answer to a BYE ends the dialog that knows it.
    const client = dialogs.senderOf(message);
    const hasChanged = dialogs.followStray(message, onwardFlow, flow, now);
    if (accesses.usable(onwardFlow) === undefined) return undeliverables.cameBack(octets, onwardFlow, now, true, client);
    outgoing.send(onwardFlow, octets, hasChanged && isOfInvite ? store.sequence : undefined);
  }
}
