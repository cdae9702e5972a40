import { isParseError } from "../errors.ts";
import { Header } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { parseVia, type Via } from "../message/via.ts";

/** RFC 3261 17.1.3 and 17.2.3: which transaction a message belongs to, as the key of the transaction tables. */

const magicCookie = "z9hG4bK";

/**
 * The key of the server transaction of a request; for an ACK or CANCEL, give `INVITE` to find what it is for.
 * Undefined when the top Via or the CSeq cannot be read.
 *
 * The CSeq number is in it although 17.2.3 does not ask for it. A retransmission has the same one, and so have the ACK and the CANCEL (17.1.1.3,
 * 9.1). Clients exist that send the request with credentials under the branch of the refused one.
 *
 * A branch without the magic cookie, or with nothing behind it, is an RFC 2543 client's. Then Request-URI, From tag, Call-ID, CSeq and top Via
 * decide. The To tag is left out, as the ACK's differs from the INVITE's; the machine checks it.
 */
export function serverKey(message: SipMessage, method: string): string | undefined {
  const via = message.topVia;
  if (isParseError(via)) return undefined;
  const cSeq = message.cSeq;
  if (isParseError(cSeq)) return undefined;
  if (isUniqueBranch(via)) return keyOfBranch(via, cSeq.number, method);
  return `${message.requestUri}|${message.fromTag ?? ""}|${message.callId}|${cSeq.number}|${via.text}|${method}`;
}

/**
 * The key of the server transaction that a response is for, when the request was forwarded from here: of the Via below our own. Undefined when it cannot be
 * read, or is that of an RFC 2543 client.
 */
export function serverKeyBelow(response: SipMessage, method: string): string | undefined {
  const [, text] = response.values(Header.Via);
  const via = text === undefined ? undefined : parseVia(text);
  const { cSeq } = response;
  if (via === undefined || isParseError(via) || isParseError(cSeq) || !isUniqueBranch(via)) return undefined;
  return keyOfBranch(via, cSeq.number, method);
}

function keyOfBranch({ branch = "", host, port }: Via, number: number, method: string): string {
  return `${branch}|${host}:${port ?? ""}|${number} ${method}`;
}

function isUniqueBranch(via: Via): boolean {
  return via.branch !== undefined && via.branch.length > magicCookie.length && via.branch.startsWith(magicCookie);
}

/** RFC 3261 17.1.3: branch, and method because CANCEL has the branch of what it cancels. */
export function clientKey(branch: string, method: string): string {
  return `${branch}|${method}`;
}

/** True for a server key that is made of a unique branch, false for that of an RFC 2543 client. */
export function isUniqueServerKey(key: string): boolean {
  return key.startsWith(magicCookie);
}

/** Whether Call-ID and From tag are the same: those of a CANCEL are its INVITE's (RFC 3261 9.1). */
export function isSameCall(one: SipMessage, other: SipMessage): boolean {
  return one.callId === other.callId && one.fromTag === other.fromTag;
}
