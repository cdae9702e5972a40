import { expect, test } from "vitest";
import { octetsOf } from "../../../sip/message/octets.ts";
import { RecordKind } from "../../../sip/transport/frame.ts";
import { isPatient } from "../../../sip/transport/patience.ts";

function isMessagePatient(text: string): boolean {
  return isPatient({ kind: RecordKind.message, key: "u0..c000020713c4", octets: octetsOf(text) });
}

test.each(["ACK", "BYE", "REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "OPTIONS"])("%s can wait", (method) => {
  expect(isMessagePatient(`${method} sip:a@b SIP/2.0\r\n`)).toBe(true);
});

test.each(["INVITE", "CANCEL", "PRACK", "UPDATE", "MESSAGE", "INFO", "REFER", "ACKNOWLEDGE"])("%s cannot", (method) => {
  expect(isMessagePatient(`${method} sip:a@b SIP/2.0\r\n`)).toBe(false);
});

test("responses, what is too short, and records that are no messages cannot", () => {
  expect(isMessagePatient("SIP/2.0 180 Ringing\r\n")).toBe(false);
  expect(isMessagePatient("BYE")).toBe(false);
  expect(isPatient({ kind: RecordKind.undeliverable, key: "u", octets: octetsOf("BYE sip:a@b SIP/2.0\r\n") })).toBe(false);
});
