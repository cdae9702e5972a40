import { describe, expect, test } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { buildAckForNon2xx, buildCancel, buildRequest, buildResponse, reasonPhrases } from "../../../sip/message/build.ts";
import { octetsOf, stringOf } from "../../../sip/message/octets.ts";
import { parseMessage } from "../../../sip/message/sip-message.ts";
import type { SipMessage } from "../../../sip/message/sip-message.ts";

function parsed(text: string): SipMessage {
  const message = parseMessage(octetsOf(text));
  if (isParseError(message)) throw new Error(`${message.error}: ${message.reason}`);
  return message;
}

function linesOf(octets: Uint8Array): string[] {
  return stringOf(octets).split("\r\n");
}

const invite = parsed(
  [
    "INVITE sip:bob@biloxi.com;x SIP/2.0",
    "v: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TCP b;branch=z9hG4bK2",
    "Via: SIP/2.0/UDP c",
    "Route: <sip:r1;lr>, <sip:r2;lr>",
    "Record-Route: <sip:p1;lr>",
    "Record-Route: <sip:p2;lr>",
    "Max-Forwards: 3",
    "f: Alice <sip:alice@atlanta.com>\r\n ;tag=1",
    "To: Bob <sip:bob@biloxi.com>",
    "Call-ID: abc@d",
    "CSeq: 7 INVITE",
    "Timestamp: 54",
    "Require: 100rel",
    "Content-Length: 3",
    "",
    "sdp",
  ].join("\r\n"),
);

const copied = ["Via: SIP/2.0/UDP a;branch=z9hG4bK1", "Via: SIP/2.0/TCP b;branch=z9hG4bK2", "Via: SIP/2.0/UDP c"];

describe("[RFC3261 8.2.6] buildResponse", () => {
  test("[RFC3261 8.2.6.1] 100: Timestamp, no tag", () => {
    expect(linesOf(buildResponse(invite, 100, { toTag: "t" }))).toEqual([
      "SIP/2.0 100 Trying",
      ...copied,
      "From: Alice <sip:alice@atlanta.com> ;tag=1",
      "To: Bob <sip:bob@biloxi.com>",
      "Call-ID: abc@d",
      "CSeq: 7 INVITE",
      "Timestamp: 54",
      "Content-Length: 0",
      "",
      "",
    ]);
  });

  test("[RFC3261 8.2.6.2, 12.1.1] 180: a tag, Record-Route, more headers, a body", () => {
    const response = buildResponse(invite, 180, {
      toTag: "t",
      reason: "Ring",
      headers: [["Contact", "<sip:x>"]],
      body: { type: "text/plain", octets: Uint8Array.of(0, 255) },
    });
    expect(linesOf(response)).toEqual([
      "SIP/2.0 180 Ring",
      ...copied,
      "Record-Route: <sip:p1;lr>",
      "Record-Route: <sip:p2;lr>",
      "From: Alice <sip:alice@atlanta.com> ;tag=1",
      "To: Bob <sip:bob@biloxi.com>;tag=t",
      "Call-ID: abc@d",
      "CSeq: 7 INVITE",
      "Contact: <sip:x>",
      "Content-Type: text/plain",
      "Content-Length: 2",
      "",
      "\0\xff",
    ]);
  });

  test("an error response has no Record-Route; a To that has a tag keeps it", () => {
    const bye = parsed(
      "BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nRecord-Route: <sip:p>\r\nFrom: sip:a@b;tag=1\r\nTo: sip:c@d;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n\r\n",
    );
    const lines = linesOf(buildResponse(bye, 481, { toTag: "t" }));
    expect(lines[0]).toBe("SIP/2.0 481 Call/Transaction Does Not Exist");
    expect(lines).toContain("To: sip:c@d;tag=2");
    expect(lines.join()).not.toContain("Record-Route");
  });

  test("every registered status has its phrase, an unknown one an empty one", () => {
    expect(reasonPhrases[503]).toBe("Service Unavailable");
    expect(linesOf(buildResponse(invite, 299))[0]).toBe("SIP/2.0 299 ");
  });

  test("text above U+00FF is UTF-8", () => {
    expect(linesOf(buildResponse(invite, 200, { headers: [["Subject", "ж"]] }))).toContain("Subject: \xd0\xb6");
  });

  test("no header can be smuggled in", () => {
    const response = stringOf(buildResponse(invite, 400, { reason: "a\r\nX: 1", toTag: "t\r\nY: 2", headers: [["Z\r\n", "3\n4"]] }));
    expect(response).not.toMatch(/\r\n[XY]|\n4/);
  });

  test.each([
    ['To: "Unbalanced <sip:a@b>', 'To: "Unbalanced <sip:a@b>;tag=t'],
    ['To: "Unbalanced <sip:a@b>;TAG = 5', 'To: "Unbalanced <sip:a@b>;TAG = 5'],
  ])("a request too broken to be served is answered with what it has: %s", (to, expected) => {
    const request = parseMessage(
      octetsOf(`INVITE  sip:a@b SIP/2.0\r\nVia: ;;junk\r\nnonsense\r\nFrom: <<\r\n${to}\r\nCall-ID: x\r\nCSeq: y\r\n\r\n`),
    );
    if (!isParseError(request) || request.message === undefined) throw new Error("no error with a message");
    expect(linesOf(buildResponse(request.message, request.status, { toTag: "t" }))).toEqual([
      "SIP/2.0 400 Bad Request",
      "Via: ;;junk",
      "From: <<",
      expected,
      "Call-ID: x",
      "CSeq: y",
      "Content-Length: 0",
      "",
      "",
    ]);
  });
});

describe("buildRequest, buildCancel, buildAckForNon2xx", () => {
  test("a request from its parts; text above U+00FF is UTF-8", () => {
    const octets = buildRequest({
      method: "MESSAGE",
      requestUri: "sip:a@b",
      headers: [["Subject", "ж"]],
      body: { type: "x/y", octets: octetsOf("hi") },
    });
    expect(stringOf(octets)).toBe("MESSAGE sip:a@b SIP/2.0\r\nSubject: \xd0\xb6\r\nContent-Type: x/y\r\nContent-Length: 2\r\n\r\nhi");
  });

  test("[RFC3261 9.1] CANCEL: the INVITE's URI, top Via alone, Route, From, To, Call-ID, CSeq number; no Require", () => {
    expect(linesOf(buildCancel(invite, [["Reason", "SIP ;cause=200"]]))).toEqual([
      "CANCEL sip:bob@biloxi.com;x SIP/2.0",
      "Via: SIP/2.0/UDP a;branch=z9hG4bK1",
      "Route: <sip:r1;lr>",
      "Route: <sip:r2;lr>",
      "Max-Forwards: 70",
      "From: Alice <sip:alice@atlanta.com> ;tag=1",
      "To: Bob <sip:bob@biloxi.com>",
      "Call-ID: abc@d",
      "CSeq: 7 CANCEL",
      "Reason: SIP ;cause=200",
      "Content-Length: 0",
      "",
      "",
    ]);
  });

  test("[RFC3261 17.1.1.3] ACK to a non-2xx: as CANCEL, with the To of the response", () => {
    const response = parseMessage(buildResponse(invite, 486, { toTag: "busy" }));
    if (isParseError(response)) throw new Error(response.reason);
    expect(linesOf(buildAckForNon2xx(invite, response))).toEqual([
      "ACK sip:bob@biloxi.com;x SIP/2.0",
      "Via: SIP/2.0/UDP a;branch=z9hG4bK1",
      "Route: <sip:r1;lr>",
      "Route: <sip:r2;lr>",
      "Max-Forwards: 70",
      "From: Alice <sip:alice@atlanta.com> ;tag=1",
      "To: Bob <sip:bob@biloxi.com>;tag=busy",
      "Call-ID: abc@d",
      "CSeq: 7 ACK",
      "Content-Length: 0",
      "",
      "",
    ]);
  });
});
