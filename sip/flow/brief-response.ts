import { isParseError } from "../errors.ts";
import { unprovenAnswerFactor } from "../limits.ts";
import { Header } from "../message/header-names.ts";
import { lineCount, lineId, valueEnd, valueStart } from "../message/header-lines.ts";
import { octetsOf, stringOf } from "../message/octets.ts";
import { parseMessage, type SipMessage } from "../message/sip-message.ts";
import { transportOfFlow } from "./flow.ts";
import { hashTag } from "./token.ts";

/**
 * RFC 3261 26.3.2.4: what we answer to a request that has proved nothing. The source of a datagram may be forged, and whoever stands there must not
 * get more from us than from the one who forges it. A connection has proved its source.
 */

/**
 * RFC 3261 8.2.7, 19.3: "a tag for the same request consistently". No dialog comes of it, so nobody gains by guessing it. Of an ACK: that of the
 * refusal which it would be for, if it is for one of ours.
 */
export function tagOfRefusal(request: SipMessage): string {
  const { callId, cSeq, fromTag } = request;
  return hashTag(`${callId} ${isParseError(cSeq) ? "" : cSeq.number} ${fromTag ?? ""}`);
}

/**
 * A response of ours to a stamped request that came on this flow, of {@link unprovenAnswerFactor} times its octets at most. Requests of real phones
 * are long enough for any answer. To a short one it is written as short as it can be (RFC 3261 7.3.3), without what can be left out. One that
 * is too short for a challenge is refused, 400. `spent`: octets that it has been answered with already.
 */
export function briefResponse(request: SipMessage, flow: string, response: Uint8Array, spent = 0): Uint8Array {
  if (transportOfFlow(flow) !== "UDP") return response;
  const octetsMax = unprovenAnswerFactor * receivedLength(request) - spent;
  if (response.length <= octetsMax) return response;
  const message = parseMessage(response);
  if (isParseError(message)) return response;
  const { status } = message;
  const brief = octetsOf(`${briefHead(message, `${status} `)}${otherHeaders(message)}\r\n`);
  if (brief.length <= octetsMax) return brief;
  // Without its challenge a 401 or 407 would say nothing.
  const isChallenge = status === 401 || status === 407;
  return octetsOf(`${briefHead(message, isChallenge ? "400 Request Too Short" : `${status} `)}\r\n`);
}

/** Octets of a request as it was received: without what `stampReceived` has written. */
export function receivedLength(request: SipMessage): number {
  const via = request.topVia;
  const length = request.end - request.start;
  if (isParseError(via) || request.answeredVia !== undefined) return length;
  const received = via.received === undefined ? 0 : `;received=${via.received}`.length;
  const port = typeof via.rport === "number" ? `=${via.rport}`.length : 0;
  return length - received - port;
}

function briefHead(message: SipMessage, statusAndReason: string): string {
  let text = `SIP/2.0 ${statusAndReason}\r\n`;
  for (const via of message.values(Header.Via)) text += `v:${via}\r\n`;
  const parts: [string, number][] = [
    ["f", Header.From],
    ["t", Header.To],
    ["i", Header.CallId],
    ["CSeq", Header.CSeq],
  ];
  for (const [name, id] of parts) {
    const value = message.text(id);
    if (value !== undefined) text += `${name}:${value}\r\n`;
  }
  return text;
}

const inHead: readonly number[] = [Header.Via, Header.From, Header.To, Header.CallId, Header.CSeq, Header.ContentLength];
const challenges: readonly number[] = [Header.WwwAuthenticate, Header.ProxyAuthenticate];

function otherHeaders(message: SipMessage): string {
  const { octets, lines } = message;
  let text = "";
  for (let line = 0; line < lineCount(lines); line += 1) {
    const id = lineId(lines, line);
    if (inHead.includes(id)) continue;
    const name = message.nameAt(line);
    const value = stringOf(octets, valueStart(lines, line), valueEnd(octets, lines, line));
    // RFC 7616 3.3: without an algorithm it is MD5.
    text += `${name}:${challenges.includes(id) ? value.replaceAll(", ", ",").replace(",algorithm=MD5", "") : value}\r\n`;
  }
  return text;
}
