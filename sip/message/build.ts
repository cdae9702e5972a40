import { isParseError } from "../errors.ts";
import { maxForwardsDefault } from "../limits.ts";
import { oneLine } from "./edit.ts";
import { Header } from "./header-names.ts";
import type { HeaderId } from "./header-names.ts";
import { octetLengthOf, writeText } from "./octets.ts";
import { reasonPhrases } from "./reason-phrases.ts";
import type { SipMessage } from "./sip-message.ts";

export { reasonPhrases } from "./reason-phrases.ts";

export type HeaderField = readonly [name: string, value: string];

/** A body and its Content-Type. */
export type Body = { readonly type: string; readonly octets: Uint8Array };

export type ResponseOptions = {
  /** Instead of the registry's phrase. */
  readonly reason?: string;
  /** Added to To unless the request's To has one, or the status is 100. */
  readonly toTag?: string;
  readonly headers?: readonly HeaderField[];
  readonly body?: Body;
};

/** Methods whose requests create dialogs (RFC 3261 12.1, RFC 6665, RFC 3515). */
const dialogMethods: readonly string[] = ["INVITE", "SUBSCRIBE", "REFER", "NOTIFY"];

/**
 * A response as RFC 3261 8.2.6 makes it: Via, From, To, Call-ID and CSeq are the request's; Timestamp in a 100; Record-Route where the
 * response can create a dialog (12.1.1). The request may be malformed, so they are copied unread; a header that is missing is left out.
 */
export function buildResponse(request: SipMessage, status: number, options: ResponseOptions = {}): Uint8Array {
  const reason = options.reason ?? reasonPhrases[status] ?? "";
  let head = `SIP/2.0 ${status} ${oneLine(reason)}\r\n`;
  for (const via of request.values(Header.Via)) head += `Via: ${via}\r\n`;
  if (status > 100 && status < 300 && dialogMethods.includes(request.method)) {
    for (const route of request.values(Header.RecordRoute)) head += `Record-Route: ${route}\r\n`;
  }
  head += copied(request, Header.From, "From");
  head += toOf(request, status, options.toTag);
  head += copied(request, Header.CallId, "Call-ID");
  head += copied(request, Header.CSeq, "CSeq");
  if (status === 100) head += copied(request, Header.Timestamp, "Timestamp");
  return withBody(head, options.headers ?? [], options.body);
}

function copied(message: SipMessage, id: HeaderId, name: string): string {
  const value = message.text(id);
  return value === undefined ? "" : `${name}: ${value}\r\n`;
}

function toOf(request: SipMessage, status: number, toTag: string | undefined): string {
  const value = request.text(Header.To);
  if (value === undefined) return "";
  const to = request.to;
  // A To that cannot be read may hold a tag all the same; two would be worse than none.
  const hasTag = isParseError(to) ? /;\s*tag\s*=/i.test(value) : to.params.has("tag");
  return toTag === undefined || status === 100 || hasTag ? `To: ${value}\r\n` : `To: ${value};tag=${oneLine(toTag)}\r\n`;
}

export type RequestParts = {
  readonly method: string;
  readonly requestUri: string;
  /** In the order they leave; Content-Length and Content-Type are not among them. */
  readonly headers: readonly HeaderField[];
  readonly body?: Body;
};

/** A request from its parts. CR and LF in given text become spaces. */
export function buildRequest(parts: RequestParts): Uint8Array {
  return withBody(`${oneLine(parts.method)} ${oneLine(parts.requestUri)} SIP/2.0\r\n`, parts.headers, parts.body);
}

/**
 * The CANCEL of an INVITE as it was sent (RFC 3261 9.1): the same Request-URI, top Via alone, From, To, Call-ID, Route, and CSeq number.
 * `headers` can add a Reason (RFC 3326).
 */
export function buildCancel(invite: SipMessage, headers: readonly HeaderField[] = []): Uint8Array {
  return withBody(headOfSameTransaction(invite, "CANCEL", invite.text(Header.To)), headers, undefined);
}

/** The ACK to a final response that is no 2xx (RFC 3261 17.1.1.3): as the INVITE was sent, with the To of the response. */
export function buildAckForNon2xx(invite: SipMessage, response: SipMessage): Uint8Array {
  return withBody(headOfSameTransaction(invite, "ACK", response.text(Header.To)), [], undefined);
}

function headOfSameTransaction(invite: SipMessage, method: string, to: string | undefined): string {
  let head = `${method} ${invite.requestUri} SIP/2.0\r\n`;
  const [via] = invite.values(Header.Via);
  if (via !== undefined) head += `Via: ${via}\r\n`;
  for (const route of invite.values(Header.Route)) head += `Route: ${route}\r\n`;
  head += `Max-Forwards: ${maxForwardsDefault}\r\n`;
  head += copied(invite, Header.From, "From");
  if (to !== undefined) head += `To: ${to}\r\n`;
  head += copied(invite, Header.CallId, "Call-ID");
  const cSeq = invite.cSeq;
  if (!isParseError(cSeq)) head += `CSeq: ${cSeq.number} ${method}\r\n`;
  return head;
}

/** Head, headers, Content-Type and Content-Length, the empty line and the body's octets. */
function withBody(head: string, headers: readonly HeaderField[], body: Body | undefined): Uint8Array {
  let text = head;
  for (const [name, value] of headers) text += `${oneLine(name)}: ${oneLine(value)}\r\n`;
  if (body !== undefined) text += `Content-Type: ${oneLine(body.type)}\r\n`;
  text += `Content-Length: ${body?.octets.length ?? 0}\r\n\r\n`;
  const headLength = octetLengthOf(text);
  const octets = new Uint8Array(headLength + (body?.octets.length ?? 0));
  writeText(octets, 0, text);
  if (body !== undefined) octets.set(body.octets, headLength);
  return octets;
}
