import { responseFlow } from "../flow/response-flow.ts";
import type { SipMessage } from "../message/sip-message.ts";
import type { SteadyMs } from "../time.ts";
import type { Held } from "./held-requests.ts";
import { nowhere } from "./timer-table.ts";
import { never, type ServerTransaction } from "./transaction.ts";

/**
 * A server transaction (RFC 3261 17.2) that has answered nothing. One literal for both kinds: no copy, and one shape for the engine. The kind and its first state
 * belong together.
 */
export function newServerTransaction(
  key: string,
  method: string,
  message: SipMessage,
  flow: string,
  reliable: boolean,
  held: Held,
  fire: (this: ServerTransaction, now: SteadyMs) => void,
): ServerTransaction {
  const isInvite = method === "INVITE";
  return {
    deadline: 0,
    order: 0,
    place: nowhere,
    before: undefined,
    after: undefined,
    fire,
    kind: isInvite ? "inviteServer" : "nonInviteServer",
    state: isInvite ? "Proceeding" : "Trying",
    key,
    method,
    flow,
    responseFlow: responseFlow(message, flow),
    isMoved: false,
    reliable,
    isProven: false,
    octetsLeft: 0,
    request: message,
    lastResponse: undefined,
    lastStatus: 0,
    commit: undefined,
    responseTag: undefined,
    held,
    owner: undefined,
    retransmitMs: 0,
    retransmitAt: never,
    endsAt: never,
  } as ServerTransaction;
}
