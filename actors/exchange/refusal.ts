import { retryAfterSeconds } from "../../sip/limits.ts";
import { buildResponse, type HeaderField } from "../../sip/message/build.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import { tagOfRefusal } from "../../sip/flow/brief-response.ts";
import type { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import type { ServerTransaction } from "../../sip/transaction/transaction.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A final answer of our own to a request. */
export type Refusal = {
  readonly status: number;
  /** Absent: the usual one of its status. */
  readonly reason?: string;
  readonly headers?: readonly HeaderField[];
};

const none: readonly HeaderField[] = [];
const comeAgain: readonly HeaderField[] = [["Retry-After", String(retryAfterSeconds)]];

/** RFC 3261 21.5.4: there is no room, or nobody to ask, at this moment. */
export const unavailable: Refusal = { status: 503 };

/** Answers a request ourselves; 503 always says when to come again. */
export function refuse(
  transactions: TransactionLayer,
  tx: ServerTransaction,
  message: SipMessage,
  { status, reason, headers = none }: Refusal,
  now: SteadyMs,
): void {
  const response = buildResponse(message, status, {
    ...(reason === undefined ? {} : { reason }),
    toTag: tagOfRefusal(message),
    headers: status === 503 && headers.length === 0 ? comeAgain : headers,
  });
  transactions.refuse(tx, status, response, now);
}
