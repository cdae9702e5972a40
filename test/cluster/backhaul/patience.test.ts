import { expect, test } from "vitest";
import { octetsOf } from "../../../sip/message/octets.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { patienceOf } from "../../../cluster/backhaul/patience.ts";

function patienceOfText(text: string): string {
  return patienceOf({ kind: RecordKind.message, key: "u0..c000020713c4", octets: octetsOf(text) });
}

test.each(["ACK sip:a@b SIP/2.0\r\nCSeq: 1 ACK\r\n\r\n", "SIP/2.0 100 Trying\r\n\r\n"])("%s can wait", (text) => {
  expect(patienceOfText(text)).toBe("much");
});

test("an ACK with a body cannot: it may answer the offer of a 2xx", () => {
  expect(patienceOfText("ACK sip:a@b SIP/2.0\r\nContent-Length: 3\r\n\r\nv=0")).toBe("none");
  expect(patienceOfText("ACK sip:a@b SIP/2.0\r\nContent-Length: 5\r\n\r\nv=0\r\n")).toBe("none");
});

test.each(["REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "OPTIONS"])("%s can wait a little", (method) => {
  expect(patienceOfText(`${method} sip:a@b SIP/2.0\r\n\r\n`)).toBe("some");
});

test.each(["INVITE", "CANCEL", "PRACK", "BYE", "MESSAGE", "INFO", "REFER", "ACKNOWLEDGE", "REGISTERED"])("%s cannot", (method) => {
  expect(patienceOfText(`${method} sip:a@b SIP/2.0\r\n\r\n`)).toBe("none");
});

test.each(["180 Ringing", "183 Session Progress", "200 OK", "302 Moved", "486 Busy Here", "603 Decline", "1000 Trying", ""])(
  "%s cannot",
  (status) => {
    expect(patienceOfText(`SIP/2.0 ${status}\r\n\r\n`)).toBe("none");
  },
);

test("what is too short, and records that are no messages cannot", () => {
  expect(patienceOfText("ACK")).toBe("none");
  expect(patienceOfText("ACK ")).toBe("none");
  expect(patienceOf({ kind: RecordKind.undeliverable, key: "u", octets: octetsOf("ACK sip:a@b SIP/2.0\r\n\r\n") })).toBe("none");
});
