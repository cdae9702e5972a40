import { expect, test } from "vitest";
import { octetsOf } from "../../../sip/message/octets.ts";
import { RecordKind } from "../../../cluster/backhaul/frame.ts";
import { isPatient } from "../../../cluster/backhaul/patience.ts";

function isMessagePatient(text: string): boolean {
  return isPatient({ kind: RecordKind.message, key: "u0..c000020713c4", octets: octetsOf(text) });
}

test.each(["ACK", "BYE", "REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "OPTIONS"])("%s can wait", (method) => {
  expect(isMessagePatient(`${method} sip:a@b SIP/2.0\r\n`)).toBe(true);
});

test.each(["INVITE", "CANCEL", "PRACK", "UPDATE", "MESSAGE", "INFO", "REFER", "ACKNOWLEDGE"])("%s cannot", (method) => {
  expect(isMessagePatient(`${method} sip:a@b SIP/2.0\r\n`)).toBe(false);
});

test.each([
  "100 Trying",
  "200 OK",
  "302 Moved",
  "407 Proxy Authentication Required",
  "486 Busy Here",
  "503 Service Unavailable",
  "603 Decline",
])("%s can wait", (status) => {
  expect(isMessagePatient(`SIP/2.0 ${status}\r\n`)).toBe(true);
});

test.each(["180 Ringing", "183 Session Progress", "199 Early Dialog Terminated", "700 Unknown", "1000 Trying", ""])(
  "%s cannot",
  (status) => {
    expect(isMessagePatient(`SIP/2.0 ${status}\r\n`)).toBe(false);
  },
);

test("what is too short, and records that are no messages cannot", () => {
  expect(isMessagePatient("BYE")).toBe(false);
  expect(isPatient({ kind: RecordKind.undeliverable, key: "u", octets: octetsOf("BYE sip:a@b SIP/2.0\r\n") })).toBe(false);
});
