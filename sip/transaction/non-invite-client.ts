import { t1Ms, t2Ms, t4Ms } from "../limits.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { beforeCopies, never, noOctets, schedule, startCopies, tellSilence } from "./transaction.ts";
import type { Machinery, NonInviteClientTransaction } from "./transaction.ts";
import type { SteadyMs } from "../time.ts";

/** RFC 3261 17.1.2, figure 6: the non-INVITE client transaction. */

/** Sends the request. `isWatched`: the user is told when nothing has come back for a while. */
export function startRequest(tx: NonInviteClientTransaction, machinery: Machinery, now: SteadyMs, isWatched: boolean): void {
  machinery.transport.send(tx.flow, tx.octets);
  startCopies(tx, isWatched, now); // Timer E
  tx.endsAt = now + 64 * t1Ms; // Timer F
  schedule(tx, machinery.timers);
}

/** A response with the transaction's branch and method. */
export function receiveResponse(tx: NonInviteClientTransaction, message: SipMessage, machinery: Machinery, now: SteadyMs): void {
  switch (tx.state) {
    case "Trying":
    case "Proceeding":
      if (message.status < 200) {
        // Timer E goes on, at T2 from its next firing: over UDP the final response comes only when it is asked for.
        tx.state = "Proceeding";
      } else {
        tx.state = "Completed";
        tx.octets = noOctets;
        tx.retransmitAt = never;
        tx.endsAt = tx.reliable ? never : now + t4Ms; // Timer K
        schedule(tx, machinery.timers);
      }
      machinery.user.response(tx, message, now);
      return endIfReliable(tx, machinery, now);
    case "Completed": // buffers retransmissions of the response
    case "Terminated":
      return;
    default:
      tx.state satisfies never;
  }
}

/** Timer K is zero over a reliable transport. */
function endIfReliable(tx: NonInviteClientTransaction, machinery: Machinery, now: SteadyMs): void {
  if (tx.state === "Completed" && tx.reliable) terminateNonInviteClient(tx, machinery, now);
}

/** The transaction's timer: E, F or K by its state. */
export function fireNonInviteClient(tx: NonInviteClientTransaction, machinery: Machinery, now: SteadyMs): void {
  switch (tx.state) {
    case "Trying":
    case "Proceeding":
      if (tx.endsAt <= now) {
        terminateNonInviteClient(tx, machinery, now); // Timer F
        return machinery.user.timeout(tx, now);
      }
      if (tx.retransmitMs === beforeCopies) return tellSilence(tx, machinery, now);
      machinery.transport.send(tx.flow, tx.octets);
      tx.retransmitMs = tx.state === "Proceeding" ? t2Ms : Math.min(2 * tx.retransmitMs, t2Ms); // Timer E
      tx.retransmitAt = now + tx.retransmitMs;
      return schedule(tx, machinery.timers);
    case "Completed": // Timer K
      return terminateNonInviteClient(tx, machinery, now);
    case "Terminated":
      return;
    default:
      tx.state satisfies never;
  }
}

export function terminateNonInviteClient(tx: NonInviteClientTransaction, machinery: Machinery, now: SteadyMs): void {
  tx.state = "Terminated";
  tx.octets = noOctets;
  machinery.destroy(tx, now);
}
