import { t1Ms, t4Ms } from "../limits.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { never, schedule } from "./transaction.ts";
import type { InviteServerTransaction, Machinery, ServerTransaction } from "./transaction.ts";
import { nextRepeatMs, sayAgain } from "./unproven-callers.ts";
import type { SteadyMs } from "../time.ts";

/** RFC 3261 17.2.1, figure 7, as RFC 6026 8.5 corrects it: the INVITE server transaction. */

/** A retransmission of the INVITE. */
export function receiveInviteAgain(tx: InviteServerTransaction, machinery: Machinery): void {
  switch (tx.state) {
    case "Proceeding":
    case "Completed":
      // "the most recent provisional response ... MUST be passed to the transport layer"; in Completed "SHOULD pass the response"
      if (tx.lastResponse !== undefined) machinery.transport.send(tx.responseFlow, tx.lastResponse, tx.commit);
      return;
    case "Accepted": // RFC 6026 7.1: absorbed; only the UAS core retransmits a 2xx
    case "Confirmed":
    case "Terminated":
      return;
    default:
      tx.state satisfies never;
  }
}

/** An ACK with the transaction's branch. */
export function receiveAck(tx: InviteServerTransaction, message: SipMessage, flow: string, machinery: Machinery, now: SteadyMs): void {
  switch (tx.state) {
    case "Completed":
      // RFC 3261 17.2.3: an RFC 2543 client's ACK must carry the tag of the response that was sent.
      if (tx.responseTag !== undefined && message.toTag !== tx.responseTag) return machinery.user.ack(message, flow, now);
      if (tx.reliable) return terminate(tx, machinery, now); // Timer I is zero
      tx.state = "Confirmed";
      tx.lastResponse = undefined;
      tx.retransmitAt = never;
      tx.endsAt = now + t4Ms; // Timer I
      return schedule(tx, machinery.timers);
    case "Accepted":
      // RFC 6026 7.1: "Any ACKs received ... while in the Accepted state MUST be passed directly to the TU"
      return machinery.user.ack(message, flow, now);
    case "Proceeding":
      return machinery.user.answeredElsewhere?.(tx, now);
    case "Confirmed":
    case "Terminated":
      return;
    default:
      tx.state satisfies never;
  }
}

/** A response from the transaction user. */
export function respondInvite(
  tx: InviteServerTransaction,
  status: number,
  response: Uint8Array,
  machinery: Machinery,
  now: SteadyMs,
  commit?: number,
): void {
  switch (tx.state) {
    case "Proceeding":
      tx.lastStatus = status;
      tx.commit = commit;
      tx.lastResponse = status >= 200 && status < 300 ? undefined : response;
      tx.octetsLeft -= response.length;
      if (status >= 200 && status < 300) machinery.transport.answer(tx.responseFlow, response, commit);
      else machinery.transport.send(tx.responseFlow, response, commit);
      if (status < 200) return;
      if (!tx.reliable || status < 300) tx.request = undefined;
      tx.endsAt = now + 64 * t1Ms; // Timer L, Timer H
      if (status < 300) {
        tx.state = "Accepted";
      } else {
        tx.state = "Completed";
        tx.retransmitMs = t1Ms;
        tx.retransmitAt = tx.reliable ? never : now + t1Ms; // Timer G
      }
      return schedule(tx, machinery.timers);
    case "Accepted":
      // RFC 6026 7.1: further 2xx, of other branches too, are passed on; nothing else is.
      if (status >= 200 && status < 300) machinery.transport.answer(tx.responseFlow, response, commit);
      return;
    case "Completed":
    case "Confirmed":
    case "Terminated":
      // RFC 3261 16.7 5: "Any 2xx response to an INVITE request MUST be forwarded immediately", after another final response as well.
      if (status >= 200 && status < 300) machinery.transport.answer(tx.responseFlow, response, commit);
      return;
    default:
      tx.state satisfies never;
  }
}

/** A refusal that Timer G would say again. */
export function isToBeRepeated(tx: ServerTransaction): tx is InviteServerTransaction {
  return tx.kind === "inviteServer" && tx.state === "Completed" && tx.retransmitAt !== never;
}

/** The transaction's timer: G, H, I or L by its state. */
export function fireInviteServer(tx: InviteServerTransaction, machinery: Machinery, now: SteadyMs): void {
  switch (tx.state) {
    case "Completed":
      if (tx.endsAt <= now) return terminate(tx, machinery, now); // Timer H: the ACK never came
      sayAgain(tx, machinery.transport);
      tx.retransmitMs = nextRepeatMs(tx); // Timer G
      tx.retransmitAt = now + tx.retransmitMs;
      return schedule(tx, machinery.timers);
    case "Accepted": // Timer L
    case "Confirmed": // Timer I
      return terminate(tx, machinery, now);
    case "Proceeding":
    case "Terminated":
      return;
    default:
      tx.state satisfies never;
  }
}

function terminate(tx: InviteServerTransaction, machinery: Machinery, now: SteadyMs): void {
  tx.state = "Terminated";
  machinery.destroy(tx, now);
}
