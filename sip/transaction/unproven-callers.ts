import { t2Ms, unpaidOctetsMax, unpaidOctetsPerSecond, unprovenAnswerFactor, unprovenCopies } from "../limits.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { briefResponse, receivedLength } from "../flow/brief-response.ts";
import type { InviteServerTransaction, ServerTransaction, TransactionUser, TransportSink } from "./transaction.ts";
import type { SteadyMs } from "../time.ts";

/**
 * RFC 3261 26.3.2.4: the source of a datagram may be forged. Whoever is there must not get more of us than of the one who forges it. So an INVITE
 * over UDP whose sender has proved nothing has an account: twice its octets, and what is answered is taken off. The first copy of each answer is said
 * in any case. Timer G says a refusal again only while there is something left, and at longer pauses, so that the few copies outlast bad weather.
 *
 * A caller who has heard it ring repeats no INVITE. He may be a carrier without an account, and must not wait for ever for an answer that was lost.
 * So his account pays for four copies in any case, as long as there are few such. What is not paid for is bounded in all. If he has heard none of the
 * copies, he hangs up in the end. His CANCEL asks once more, and fills the account.
 */

/** What is lent to accounts whose INVITEs do not pay for the copies of a refusal: see {@link unpaidOctetsPerSecond}. */
export class UnpaidOctets {
  /** When all of it may be lent again. */
  #fullAt = 0;

  lend(octets: number, now: SteadyMs): boolean {
    const fullAt = Math.max(this.#fullAt, now) + (octets * 1_000) / unpaidOctetsPerSecond;
    if (fullAt - now > (unpaidOctetsMax * 1_000) / unpaidOctetsPerSecond) return false;
    this.#fullAt = fullAt;
    return true;
  }
}

/** What stampReceived writes into a Via: an address and a port. Nearly all INVITEs are longer than their 100 by more than that. */
const stampOctetsMax = 64;

/** As long as it has proved nothing, and a datagram could have been forged. */
function isDoubtful(tx: ServerTransaction, user: TransactionUser): boolean {
  return !tx.isProven && !tx.reliable && user.isTrustedOn?.(tx.flow) === false;
}

/** The 100 of one that is shorter than any phone's is left out: with the answer it would be more than the account has. */
export function isTooShortForTrying(tx: ServerTransaction, request: SipMessage, trying: Uint8Array): boolean {
  if (tx.isProven || tx.reliable || trying.length <= request.end - request.start - stampOctetsMax) return false;
  return trying.length > receivedLength(request);
}

/** A refusal of ours, within what is left of the account. */
export function withinAccount(tx: ServerTransaction, response: Uint8Array, user: TransactionUser): Uint8Array {
  if (tx.request === undefined || !isDoubtful(tx, user)) return response;
  return briefResponse(tx.request, tx.responseFlow, response, -tx.octetsLeft);
}

/** A refusal of an INVITE is about to be sent, and may be repeated. It is paid for in any case. */
export function openAccount(tx: ServerTransaction, response: Uint8Array, user: TransactionUser, unpaid: UnpaidOctets, now: SteadyMs): void {
  const { request } = tx;
  if (request === undefined || !isDoubtful(tx, user)) {
    tx.octetsLeft = Number.POSITIVE_INFINITY;
    return;
  }
  const paid = Math.max(response.length, tx.octetsLeft + boundOf(request));
  const wanted = unprovenCopies * response.length;
  const isLent = tx.lastStatus > 100 && paid < wanted && unpaid.lend(wanted - paid, now);
  tx.octetsLeft = isLent ? wanted : paid;
}

/** A CANCEL for an INVITE that was refused has been answered: its caller may not have heard that. */
export function askedAgain(tx: InviteServerTransaction, cancelTx: ServerTransaction, cancel: SipMessage, transport: TransportSink): void {
  if (tx.state !== "Completed" || tx.lastResponse === undefined || tx.octetsLeft === Number.POSITIVE_INFINITY) return;
  const bound = boundOf(cancel);
  tx.octetsLeft += bound - (cancelTx.lastResponse?.length ?? 0);
  const response = briefResponse(cancel, tx.responseFlow, tx.lastResponse, bound - tx.octetsLeft);
  if (response.length > tx.octetsLeft) return;
  tx.octetsLeft -= response.length;
  transport.send(tx.responseFlow, response, tx.commit);
}

export function sayAgain(tx: InviteServerTransaction, transport: TransportSink): void {
  if (tx.lastResponse === undefined || tx.lastResponse.length > tx.octetsLeft) return;
  tx.octetsLeft -= tx.lastResponse.length;
  transport.send(tx.responseFlow, tx.lastResponse, tx.commit);
}

/** Timer G. The few copies of an account are sent after 0.5, 2.5 and 10.5 s. */
export function nextRepeatMs({ octetsLeft, retransmitMs }: InviteServerTransaction): number {
  return octetsLeft === Number.POSITIVE_INFINITY ? Math.min(2 * retransmitMs, t2Ms) : 4 * retransmitMs;
}

function boundOf(request: SipMessage): number {
  return unprovenAnswerFactor * receivedLength(request);
}
