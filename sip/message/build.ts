import { isParseError } from "../errors.ts";
import { maxForwardsDefault } from "../limits.ts";
import { oneLine } from "./edit.ts";
import { Header } from "./header-names.ts";
import type { HeaderId } from "./header-names.ts";
import { OctetWriter } from "./octet-writer.ts";
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

const writer = new OctetWriter();

/** Methods whose requests create dialogs (RFC 3261 12.1, RFC 6665, RFC 3515). */
const dialogMethods: readonly string[] = ["INVITE", "SUBSCRIBE", "REFER", "NOTIFY"];

/**
 * A response as RFC 3261 8.2.6 makes it. Via, From, To, Call-ID and CSeq are the request's. A 100 has its Timestamp. Record-Route is there where the
 * response can create a dialog (12.1.1). The request may be malformed, so they are copied unread; a header that is missing is left out.
 */
export function buildResponse(request: SipMessage, status: number, options: ResponseOptions = {}): Uint8Array {
  const reason = options.reason ?? reasonPhrases[status] ?? "";
  writer.begin().text(`SIP/2.0 ${status} ${oneLine(reason)}\r\n`);
  writeVias(request);
  if (status > 100 && status < 300 && dialogMethods.includes(request.method)) writeAll(request, Header.RecordRoute, "Record-Route: ");
  writeFirst(request, Header.From, "From: ");
  writeFirst(request, Header.To, "To: ", status === 100 ? undefined : options.toTag);
  writeFirst(request, Header.CallId, "Call-ID: ");
  writeFirst(request, Header.CSeq, "CSeq: ");
  if (status === 100) writeFirst(request, Header.Timestamp, "Timestamp: ");
  return takeWithBody(options.headers ?? [], options.body);
}

function writeVias(request: SipMessage): void {
  const { answeredVia } = request;
  if (answeredVia === undefined) return writeAll(request, Header.Via, "Via: ");
  writer.text("Via: ").text(answeredVia).text("\r\n");
  writeAll(request, Header.Via, "Via: ", 1);
}

/** The values of a header from this one on, a line each. */
function writeAll(message: SipMessage, id: HeaderId, name: string, from = 0): void {
  const ranges = message.valueRanges(id);
  for (let i = 2 * from; i < ranges.length; i += 2) {
    writer.text(name);
    message.writeValue(writer, ranges[i] ?? 0, ranges[i + 1] ?? 0);
    writer.text("\r\n");
  }
}

/** The first line of a header, if there is one; `tag`: for a To that has none. */
function writeFirst(message: SipMessage, id: HeaderId, name: string, tag?: string): void {
  const range = message.firstValueRange(id);
  if (range === undefined) return;
  writer.text(name);
  message.writeValue(writer, ...range);
  if (tag !== undefined && !hasToTag(message)) writer.text(`;tag=${oneLine(tag)}`);
  writer.text("\r\n");
}

function hasToTag(request: SipMessage): boolean {
  const to = request.to;
  // A To that cannot be read may hold a tag all the same; two would be worse than none.
  return isParseError(to) ? /;\s*tag\s*=/i.test(request.text(Header.To) ?? "") : to.params.has("tag");
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
  writer.begin().text(`${oneLine(parts.method)} ${oneLine(parts.requestUri)} SIP/2.0\r\n`);
  return takeWithBody(parts.headers, parts.body);
}

/**
 * The CANCEL of an INVITE as it was sent (RFC 3261 9.1): the same Request-URI, top Via alone, From, To, Call-ID, Route, and CSeq number.
 * `headers` can add a Reason (RFC 3326).
 */
export function buildCancel(invite: SipMessage, headers: readonly HeaderField[] = []): Uint8Array {
  beginOfSameTransaction(invite, "CANCEL", invite);
  return takeWithBody(headers, undefined);
}

/** The ACK to a final response that is no 2xx (RFC 3261 17.1.1.3): as the INVITE was sent, with the To of the response. */
export function buildAckForNon2xx(invite: SipMessage, response: SipMessage): Uint8Array {
  beginOfSameTransaction(invite, "ACK", response);
  return takeWithBody([], undefined);
}

/** The head of a request in the transaction of an INVITE; its To is that of `toOf`. */
function beginOfSameTransaction(invite: SipMessage, method: string, toOf: SipMessage): void {
  writer.begin().text(`${method} ${invite.requestUri} SIP/2.0\r\n`);
  const [via] = invite.values(Header.Via);
  if (via !== undefined) writer.text(`Via: ${via}\r\n`);
  writeAll(invite, Header.Route, "Route: ");
  writer.text(`Max-Forwards: ${maxForwardsDefault}\r\n`);
  writeFirst(invite, Header.From, "From: ");
  writeFirst(toOf, Header.To, "To: ");
  writeFirst(invite, Header.CallId, "Call-ID: ");
  const cSeq = invite.cSeq;
  if (!isParseError(cSeq)) writer.text(`CSeq: ${cSeq.number} ${method}\r\n`);
}

/** Ends what the writer has: headers, Content-Type and Content-Length, the empty line and the body's octets. */
function takeWithBody(headers: readonly HeaderField[], body: Body | undefined): Uint8Array {
  for (const [name, value] of headers) writer.text(`${oneLine(name)}: ${oneLine(value)}\r\n`);
  if (body === undefined) return writer.text("Content-Length: 0\r\n\r\n").take();
  const { type, octets } = body;
  writer.text(`Content-Type: ${oneLine(type)}\r\nContent-Length: ${octets.length}\r\n\r\n`);
  return writer.octets(octets, 0, octets.length).take();
}
