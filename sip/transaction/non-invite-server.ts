import { t1Ms, t4Ms } from "../limits.ts";
import { buildResponse } from "../message/build.ts";
import { never, schedule } from "./transaction.ts";
import type { Machinery, NonInviteServerTransaction } from "./transaction.ts";
import type { SteadyMs } from "../time.ts";

/** RFC 3261 17.2.2, figure 8, with RFC 4320: the non-INVITE server transaction. */

/** RFC 4320 4.1: when a client's Timer E has reached T2 (500 + 1000 + 2000 ms) a 100 is due, and not before over UDP. */
export const tryingAfterMs: number = 7 * t1Ms;

/**
 * Timer J. RFC 3261 lets it be zero over reliable transports, as clients repeat nothing there. But an access does, when its backhaul dies before a
 * frame was acknowledged. Its phone then still waits for this response, and a MESSAGE must not be delivered twice.
 */
const timerJMs = { unreliable: 64 * t1Ms, reliable: t4Ms } as const;

/**
 * A new request. It is due for a 100 when the user is slow, and for nothing at all when the client has given up (RFC 4320 4.2). To be scheduled when
 * the user has not answered at once.
 */
export function startNonInvite(tx: NonInviteServerTransaction, now: SteadyMs): void {
  tx.retransmitAt = now + tryingAfterMs;
  tx.endsAt = now + 64 * t1Ms;
}

/** A retransmission of the request. */
export function receiveRequestAgain(tx: NonInviteServerTransaction, machinery: Machinery): void {
  switch (tx.state) {
    case "Trying": // "any further request retransmissions are discarded"
    case "Terminated":
      return;
    case "Proceeding":
    case "Completed":
      if (tx.lastResponse !== undefined) machinery.transport.send(tx.responseFlow, tx.lastResponse, tx.commit);
      return;
    default:
      tx.state satisfies never;
  }
}

/** A response from the transaction user. RFC 4320 4.1: a provisional one other than 100 is not sent. */
export function respondNonInvite(
  tx: NonInviteServerTransaction,
  status: number,
  response: Uint8Array,
  machinery: Machinery,
  now: SteadyMs,
  commit?: number,
): void {
  switch (tx.state) {
    case "Trying":
    case "Proceeding":
      if (status > 100 && status < 200) return;
      tx.lastStatus = status;
      tx.lastResponse = response;
      tx.commit = commit;
      machinery.transport.send(tx.responseFlow, response, commit);
      tx.retransmitAt = never;
      if (status < 200) {
        tx.state = "Proceeding";
        return schedule(tx, machinery.timers);
      }
      tx.request = undefined;
      tx.owner = undefined;
      tx.state = "Completed";
      tx.endsAt = now + (tx.reliable ? timerJMs.reliable : timerJMs.unreliable);
      return schedule(tx, machinery.timers);
    case "Completed": // "Any other final responses ... MUST be discarded"
    case "Terminated":
      return;
    default:
      tx.state satisfies never;
  }
}

/** The transaction's timer: J, the one that sends a late 100, or the end of the client's patience (its Timer F). */
export function fireNonInviteServer(tx: NonInviteServerTransaction, machinery: Machinery, now: SteadyMs): void {
  if (tx.endsAt <= now) return terminateNonInvite(tx, machinery, now);
  if (tx.state === "Trying" && tx.request !== undefined) {
    return respondNonInvite(tx, 100, buildResponse(tx.request, 100), machinery, now);
  }
  schedule(tx, machinery.timers);
}

function terminateNonInvite(tx: NonInviteServerTransaction, machinery: Machinery, now: SteadyMs): void {
  tx.state = "Terminated";
  machinery.destroy(tx, now);
}
