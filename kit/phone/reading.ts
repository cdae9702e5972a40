import { isParseError } from "../../sip/errors.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";

/** Of the topmost Via; empty where it cannot be read. */
export function branchOf(message: SipMessage): string {
  const via = message.topVia;
  return isParseError(via) ? "" : (via.branch ?? "");
}

/** Number 0 and no method where it cannot be read. */
export function cSeqOf(message: SipMessage): { readonly number: number; readonly method: string } {
  const { cSeq } = message;
  return isParseError(cSeq) ? { number: 0, method: "" } : cSeq;
}

/** The URI of the first Contact. */
export function contactOf(message: SipMessage): string | undefined {
  const { contacts } = message;
  return isParseError(contacts) || contacts === "*" ? undefined : contacts[0]?.uri;
}
