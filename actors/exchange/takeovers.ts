import { passedMax, repeatedMs, replayedMs, takeoverEvidenceMs } from "../limits.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import type { LiveRecord } from "../../sip/record/state-record.ts";
import type { Invite } from "../../sip/record/values.ts";
import { cellOfVersion } from "../../sip/record/version.ts";
import { serverKey, serverKeyBelow } from "../../sip/transaction/matching.ts";
import type { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import type { InviteServerTransaction, ServerTransaction, TransportSink } from "../../sip/transaction/transaction.ts";
import { accessOfFlow, isLine } from "../../sip/flow/flow.ts";
import type { InviteKeeper } from "./invite-keeper.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type TakeoverOptions = {
  readonly invites: InviteKeeper;
  readonly transactions: TransactionLayer;
  readonly outgoing: TransportSink;
};

/**
 * Decides which INVITEs of the other replica this one takes up, and when. All of an access that says it has lost the other one; and one by
 * one, for a message that belongs to it.
 */
export class Takeovers {
  readonly #cell: string;
  readonly #options: TakeoverOptions;
  /** When which access said that it has lost the other replica. */
  readonly #since = new Map<string, number>();
  /** Our branches, and keys of server transactions, the oldest first. */
  readonly #passed = new Set<string>();
  #cells: ReadonlySet<string> | undefined;

  constructor(cell: string, options: TakeoverOptions) {
    this.#cell = cell;
    this.#options = options;
  }

  setCells(reachable: ReadonlySet<string>): void {
    this.#cells = reachable;
  }

  /** See `Exchange.takeOver`. */
  takeOver(access: string | undefined, now: SteadyMs): void {
    const { invites } = this.#options;
    if (access !== undefined) this.#since.set(access, now);
    for (const record of invites.foreignOf(access)) invites.adopt(record, now);
  }

  /** Whether a replica has INVITEs in progress whose cell is none of these. */
  hasLeft(pair: ReadonlySet<string>): boolean {
    return this.#options.invites.foreignOf(undefined).some(({ version }) => !pair.has(cellOfVersion(version)));
  }

  /** Goes on with those. */
  adoptLeft(pair: ReadonlySet<string>, now: SteadyMs): void {
    const { invites } = this.#options;
    for (const record of invites.foreignOf(undefined)) if (!pair.has(cellOfVersion(record.version))) invites.adopt(record, now);
  }

  /**
   * Goes on with INVITEs that an earlier start of this replica had in hand. Gateways see the end of a start, and say which replica goes on with theirs; a
   * line that has nothing under way sees nothing. So only those between softphones: nobody else would.
   */
  resume(now: SteadyMs): void {
    const { invites } = this.#options;
    for (const record of invites.foreignOf(undefined)) {
      if (cellOfVersion(record.version) === this.#cell && isBetweenLines(record.value)) invites.adopt(record, now);
    }
  }

  /**
   * The cell that the Via of a request names, forwarded here on its way from one access to another: this one, where its answer belongs. But for a while
   * after a takeover it is the one that the request would have gone to before. So a request that may have left there is the same octets once more.
   * Only between gateways that have lost that cell: their answers come here all the same. A line says nothing of others, for it may be cut off with
   * its cell.
   */
  cellFor(preferred: string, from: string, to: string, now: SteadyMs): string {
    const hasLost = (access: string): boolean =>
      !isLine(access) && now - (this.#since.get(access) ?? Number.NEGATIVE_INFINITY) <= repeatedMs;
    return hasLost(from) && hasLost(to) ? preferred : this.#cell;
  }

  /** A 2xx to an INVITE has passed whose request another replica forwarded: with this branch of ours, from this server transaction. */
  passed(branch: string, response: SipMessage): void {
    for (const each of [branch, serverKeyBelow(response, "INVITE")]) {
      if (each === undefined) continue;
      const [oldest] = this.#passed;
      if (this.#passed.size >= 2 * passedMax && oldest !== undefined) this.#passed.delete(oldest);
      this.#passed.add(each);
    }
  }

  /** Whether the INVITE of this branch of ours has been answered by such a 2xx: a copy of it has come late. */
  hasPassed(branch: string): boolean {
    return this.#passed.has(branch);
  }

  /** What an access had sent to the other replica, and has no acknowledgement for, it sends here with the change. */
  mayBeCopy(flow: string, now: SteadyMs): boolean {
    return now - (this.#since.get(accessOfFlow(flow)) ?? Number.NEGATIVE_INFINITY) <= replayedMs;
  }

  /**
   * Whether an INVITE that the other replica has in hand may be taken up here because of one message. Gladly, when its cell is down or this
   * access has lost it. Not, when it is this replica that had been away, and reads what was waiting for it.
   */
  #mayAdopt(record: LiveRecord<"invite">, access: string, now: SteadyMs): "surely" | "perhaps" | "no" {
    const owner = cellOfVersion(record.version);
    const since = this.#since.get(access);
    if (owner === this.#cell || this.#cells?.has(owner) === false) return "surely";
    const lostAt = this.#options.invites.lostAt(record.key, now);
    if (lostAt !== undefined && lostAt >= (since ?? 0)) return "no";
    return since !== undefined && now - since <= takeoverEvidenceMs ? "surely" : "perhaps";
  }

  /**
   * The INVITE of the other replica that a CANCEL is for, taken up. Undefined: there is none. Always: once it is answered nobody says it again, and
   * be it old, the caller has hung up.
   */
  adoptedForCancel(cancel: SipMessage, now: SteadyMs): InviteServerTransaction | undefined {
    const record = this.#options.invites.foreign(serverKey(cancel, "INVITE"));
    if (record === undefined) return undefined;
    const tx = this.#options.invites.adopt(record, now)?.tx;
    return tx?.kind === "inviteServer" ? tx : undefined;
  }

  /** An INVITE that this replica, or the other one, has had before. False: it is new. */
  repeatedInvite(tx: ServerTransaction, message: SipMessage, now: SteadyMs): boolean {
    const record = this.#options.invites.foreign(tx.key);
    // Before it is forwarded, which has to wait where the caller's password is asked for. A CANCEL behind it would be answered 487 meanwhile.
    const hasEnded = this.#options.invites.hasEnded(tx.key) || this.#passed.has(tx.key);
    if (record === undefined && !hasEnded) return false;
    this.#options.transactions.forget(tx);
    if (record === undefined) return true; // answered: the caller has, or gets, what was said
    if (this.#mayAdopt(record, accessOfFlow(tx.flow), now) === "surely") {
      if (this.#options.invites.adopt(record, now) !== undefined) this.#options.transactions.receive(message, tx.flow, now);
      return true;
    }
    // Who has it in hand goes on with it; that it was heard is all there is to say.
    const { responseFlow: upstream, lastResponse } = record.value;
    if (lastResponse !== undefined) this.#options.outgoing.send(upstream, octetsOf(lastResponse));
    return true;
  }

  /** Whether the INVITE that this response is for has ended: what a phone refuses then says nothing to the caller, who has been answered. */
  hasEnded(response: SipMessage): boolean {
    const key = serverKeyBelow(response, "INVITE");
    return key !== undefined && this.#options.invites.hasEnded(key);
  }

  /**
   * A response without a transaction here that belongs to an INVITE of the other replica. `adopted`: it can be received now. `theirs`: that
   * one goes on with it. Undefined: it belongs to none. `isSaidOnce`: what the other replica would never hear of, so whoever has it takes the
   * INVITE. That is a refusal over a connection, or a 2xx, which is not said again once it has passed.
   */
  ofResponse(branch: string, flow: string, isSaidOnce: boolean, now: SteadyMs): "adopted" | "gone" | "theirs" | undefined {
    const { invites } = this.#options;
    const record = invites.foreignOfBranch(branch);
    if (record === undefined) return undefined;
    if (!isSaidOnce && this.#mayAdopt(record, accessOfFlow(flow), now) === "no") return "theirs";
    return invites.adopt(record, now) === undefined ? "gone" : "adopted";
  }
}

function isBetweenLines({ responseFlow, branches }: Invite): boolean {
  return [responseFlow, ...branches.map(({ flow }) => flow)].every((flow) => flow === "" || isLine(accessOfFlow(flow)));
}
