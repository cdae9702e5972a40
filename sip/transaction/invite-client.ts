import { copyDelayMs, t1Ms } from "../limits.ts";
import { buildAckForNon2xx } from "../message/build.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { beforeCopies, never, noOctets, readSent, schedule, startCopies, tellSilence } from "./transaction.ts";
import type { InviteClientTransaction, Machinery } from "./transaction.ts";
import type { SteadyMs } from "../time.ts";

/** RFC 3261 17.1.1, figure 5, as RFC 6026 8.4 corrects it: the INVITE client transaction. */

/** RFC 3261 17.1.1.2: "at least 32 seconds", whatever our T1 is. */
const timerDMs = 32_000;

/** Sends the INVITE. `isWatched`: the user is told when nothing has come back for a while. */
export function startInvite(tx: InviteClientTransaction, machinery: Machinery, now: SteadyMs, isWatched = false): void {
  machinery.transport.send(tx.flow, tx.octets);
  startCopies(tx, isWatched, now); // Timer A
  tx.endsAt = now + 64 * t1Ms; // Timer B
  schedule(tx, machinery.timers);
}

/**
 * Waits before it sends an INVITE that its phone may have had already. A phone that has answered repeats its 2xx within T1 (RFC 3261 13.3.1.4), and
 * some give a call up over a copy of what they have answered. One that has had nothing hears it so much later.
 */
export function startCopy(tx: InviteClientTransaction, machinery: Machinery, now: SteadyMs): void {
  tx.retransmitMs = t1Ms / 2;
  tx.retransmitAt = now + copyDelayMs;
  tx.endsAt = now + 64 * t1Ms; // Timer B
  schedule(tx, machinery.timers);
}

/** A response with the transaction's branch. */
export function receiveInviteResponse(tx: InviteClientTransaction, message: SipMessage, machinery: Machinery, now: SteadyMs): void {
  const status = message.status;
  switch (tx.state) {
    case "Calling":
    case "Proceeding":
      if (status < 200) {
        if (tx.state === "Calling") {
          tx.state = "Proceeding";
          tx.retransmitAt = never;
          tx.endsAt = never; // from here on the proxy's Timer C
          schedule(tx, machinery.timers);
        }
      } else if (status < 300) {
        accept(tx, machinery, now);
      } else {
        complete(tx, message, machinery, now);
      }
      machinery.user.response(tx, message, now);
      return endIfReliable(tx, machinery, now);
    case "Completed":
      // "Any retransmissions of the final response ... MUST cause the ACK to be re-passed to the transport layer"
      if (status >= 300) machinery.transport.send(tx.flow, tx.octets);
      return;
    case "Accepted":
      // RFC 6026 7.2: 2xx of other branches downstream, and retransmissions
      if (status >= 200 && status < 300) machinery.user.response(tx, message, now);
      return;
    case "Terminated":
      return;
    default:
      tx.state satisfies never;
  }
}

function accept(tx: InviteClientTransaction, machinery: Machinery, now: SteadyMs): void {
  tx.state = "Accepted";
  tx.octets = noOctets;
  tx.retransmitAt = never;
  tx.endsAt = now + 64 * t1Ms; // Timer M
  schedule(tx, machinery.timers);
}

function complete(tx: InviteClientTransaction, message: SipMessage, machinery: Machinery, now: SteadyMs): void {
  tx.octets = buildAckForNon2xx(readSent(tx.octets), message);
  machinery.transport.send(tx.flow, tx.octets);
  tx.state = "Completed";
  tx.retransmitAt = never;
  tx.endsAt = tx.reliable ? never : now + timerDMs;
  schedule(tx, machinery.timers);
}

/** Timer D is zero over a reliable transport. */
function endIfReliable(tx: InviteClientTransaction, machinery: Machinery, now: SteadyMs): void {
  if (tx.state === "Completed" && tx.reliable) terminateInviteClient(tx, machinery, now);
}

/** The transaction's timer: A, B, D or M by its state. */
export function fireInviteClient(tx: InviteClientTransaction, machinery: Machinery, now: SteadyMs): void {
  switch (tx.state) {
    case "Calling":
      if (tx.endsAt <= now) {
        terminateInviteClient(tx, machinery, now); // Timer B
        return machinery.user.timeout(tx, now);
      }
      if (tx.retransmitMs === beforeCopies) return tellSilence(tx, machinery, now);
      machinery.transport.send(tx.flow, tx.octets);
      tx.retransmitMs *= 2; // Timer A
      tx.retransmitAt = now + tx.retransmitMs;
      return schedule(tx, machinery.timers);
    case "Completed": // Timer D
    case "Accepted": // Timer M
      return terminateInviteClient(tx, machinery, now);
    case "Proceeding":
    case "Terminated":
      return;
    default:
      tx.state satisfies never;
  }
}

export function terminateInviteClient(tx: InviteClientTransaction, machinery: Machinery, now: SteadyMs): void {
  tx.state = "Terminated";
  tx.octets = noOctets;
  machinery.destroy(tx, now);
}
