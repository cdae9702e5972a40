import { expect, it } from "vitest";
import { dialogFields, dialogOfRequest, dialogOfResponse } from "../../../kit/phone/dialog.ts";
import { messageText } from "../../../kit/phone/message-text.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parsed } from "./messages.ts";

const common = [
  "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
  "Record-Route: <sip:one;lr>, <sip:two;lr>",
  "From: <sip:alice@example.test>;tag=a",
  "Call-ID: c1",
  "CSeq: 1 INVITE",
];

it("[RFC3261 12.1.2, 12.2.1.1] a caller's requests follow the routes of the 2xx backwards", () => {
  const lines = [...common, "To: <sip:bob@example.test>;tag=b", "Contact: <sip:bob@192.0.2.2;ob>"];
  const dialog = dialogOfResponse(parsed(octetsOf(messageText("SIP/2.0 200 OK", lines))));
  expect(dialog.target).toBe("sip:bob@192.0.2.2;ob");
  expect(dialogFields(dialog, 2, "BYE")).toEqual([
    ["Route", "<sip:two;lr>"],
    ["Route", "<sip:one;lr>"],
    ["From", "<sip:alice@example.test>;tag=a"],
    ["To", "<sip:bob@example.test>;tag=b"],
    ["Call-ID", "c1"],
    ["CSeq", "2 BYE"],
  ]);
});

it("[RFC3261 12.1.1, 12.2.1.1] a callee's requests follow the routes of the INVITE, and turn From and To", () => {
  const lines = [...common, "To: <sip:bob@example.test>", "Contact: <sip:alice@192.0.2.1>"];
  const dialog = dialogOfRequest(parsed(octetsOf(messageText("INVITE sip:bob@192.0.2.2 SIP/2.0", lines))), "b");
  expect(dialog.target).toBe("sip:alice@192.0.2.1");
  expect(dialogFields(dialog, 9, "BYE")).toEqual([
    ["Route", "<sip:one;lr>"],
    ["Route", "<sip:two;lr>"],
    ["From", "<sip:bob@example.test>;tag=b"],
    ["To", "<sip:alice@example.test>;tag=a"],
    ["Call-ID", "c1"],
    ["CSeq", "9 BYE"],
  ]);
});
