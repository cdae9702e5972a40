import { isParseError } from "../../../sip/errors.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../../sip/message/sip-message.ts";
import { messageText } from "../../../kit/phone/message-text.ts";

export function parsed(octets: Uint8Array): SipMessage {
  const message = parseMessage(octets);
  if (isParseError(message)) throw new Error(message.reason);
  return message;
}

export function requestOctets(method: string, branch: string): Uint8Array {
  const via = `Via: SIP/2.0/UDP 192.0.2.1;branch=${branch}`;
  const parties = ["From: <sip:alice@example.test>;tag=a", "To: <sip:bob@example.test>", "Call-ID: c1", `CSeq: 1 ${method}`];
  return octetsOf(messageText(`${method} sip:bob@example.test SIP/2.0`, [via, "Max-Forwards: 70", ...parties]));
}

export function responseTo(request: Uint8Array, status: number): SipMessage {
  return parsed(buildResponse(parsed(request), status, { toTag: "b" }));
}
