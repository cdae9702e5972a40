import { retryAfterSeconds, retrySpreadSeconds } from "../../sip/limits.ts";
import { buildResponse, type HeaderField } from "../../sip/message/build.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import { tagOfRefusal } from "../../sip/flow/brief-response.ts";
import { fnv1a } from "../../sip/flow/token.ts";
import type { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import type { ServerTransaction } from "../../sip/transaction/transaction.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A final answer of our own to a request. */
export type Refusal = {
  readonly status: number;
  /** Absent: the usual one of its status. */
  readonly reason?: string;
  readonly headers?: readonly HeaderField[];
  /** Many are refused at once: each is to come again at another time. */
  readonly isSpread?: boolean;
};

const none: readonly HeaderField[] = [];

/** RFC 3261 21.5.4: there is no room, or nobody to ask, at this moment. */
export const unavailable: Refusal = { status: 503 };
/** Too much waits for somebody. All callers at once would be the next wave. */
export const crowded: Refusal = { status: 503, isSpread: true };

/** Answers a request ourselves; 503 always says when to come again. */
export function refuse(
  transactions: TransactionLayer,
  tx: ServerTransaction,
  message: SipMessage,
  { status, reason, headers = none, isSpread = false }: Refusal,
  now: SteadyMs,
): void {
  const response = buildResponse(message, status, {
    ...(reason === undefined ? {} : { reason }),
    toTag: tagOfRefusal(message),
    headers: status === 503 && headers.length === 0 ? comeAgain(message, isSpread) : headers,
  });
  transactions.refuse(tx, status, response, now);
}

/** The same for all copies of a request. */
function comeAgain({ callId }: SipMessage, isSpread: boolean): readonly HeaderField[] {
  const spread = isSpread ? fnv1a(callId) % (retrySpreadSeconds + 1) : 0;
  return [["Retry-After", String(retryAfterSeconds + spread)]];
}
