import { clientKey } from "./matching.ts";
import { nowhere, type TimerTable } from "./timer-table.ts";
import { never, schedule, type ClientTransaction } from "./transaction.ts";
import type { SteadyMs } from "../time.ts";

/** A client transaction (RFC 3261 17.1) that has sent nothing. One literal for both kinds: no copy, and one shape for the engine. */
export function newClientTransaction(
  octets: Uint8Array,
  method: string,
  branch: string,
  flow: string,
  reliable: boolean,
  owner: unknown,
  fire: (this: ClientTransaction, now: SteadyMs) => void,
): ClientTransaction {
  const isInvite = method === "INVITE";
  return {
    deadline: 0,
    order: 0,
    place: nowhere,
    before: undefined,
    after: undefined,
    fire,
    kind: isInvite ? "inviteClient" : "nonInviteClient",
    state: isInvite ? "Calling" : "Trying",
    key: clientKey(branch, method),
    method,
    branch,
    flow,
    reliable,
    answeredOn: "",
    octets,
    owner,
    retransmitMs: 0,
    retransmitAt: never,
    endsAt: never,
  } as ClientTransaction;
}

/** Takes Timers A and E from one that has just been sent. */
export function sayOnce(tx: ClientTransaction, timers: TimerTable): void {
  tx.retransmitAt = never;
  schedule(tx, timers);
}
