import { describe, expect, it } from "vitest";
import { linesOf, messageText, responseText, routesOf, uriIn, valueOf, valuesOf } from "../../../kit/phone/message-text.ts";

const invite = messageText("INVITE sip:bob@example.test SIP/2.0", [
  "Via: SIP/2.0/TLS proxy;branch=z9hG4bK1",
  "Via: SIP/2.0/TLS phone;branch=z9hG4bK2",
  "Record-Route: <sip:one;lr>, <sip:two;lr>",
  "Record-Route: <sip:three;lr>",
  "From: <sip:alice@example.test>;tag=a",
  "To: <sip:bob@example.test>",
  "Call-ID: x1",
  "CSeq: 1 INVITE",
  "Contact: <sip:alice@phone;transport=tls>",
]);

describe("the texts of phones", () => {
  it("answer with what RFC 3261 8.2.6.2 has them copy, and a tag of their own", () => {
    const response = responseText("180 Ringing", linesOf(invite), "b");
    expect(response.split("\r\n", 9)).toEqual([
      "SIP/2.0 180 Ringing",
      "Via: SIP/2.0/TLS proxy;branch=z9hG4bK1",
      "Via: SIP/2.0/TLS phone;branch=z9hG4bK2",
      "Record-Route: <sip:one;lr>, <sip:two;lr>",
      "Record-Route: <sip:three;lr>",
      "From: <sip:alice@example.test>;tag=a",
      "To: <sip:bob@example.test>;tag=b",
      "Call-ID: x1",
      "CSeq: 1 INVITE",
    ]);
    expect(response.endsWith("Content-Length: 0\r\n\r\n")).toBe(true);
  });

  it("RFC 3261 12.1.2: route by the Record-Route values in reverse", () => {
    expect(routesOf(linesOf(invite))).toEqual(["Route: <sip:three;lr>", "Route: <sip:two;lr>", "Route: <sip:one;lr>"]);
  });

  it("leave a tag that is there alone, and find the target in a contact", () => {
    const bye = linesOf(invite.replace("To: <sip:bob@example.test>", "To: <sip:bob@example.test>;tag=old"));
    expect(responseText("200 OK", bye, "new")).toContain("To: <sip:bob@example.test>;tag=old\r\n");
    expect(uriIn(bye.contact)).toBe("sip:alice@phone;transport=tls");
  });

  it("say how long their bodies are, and of which type", () => {
    const [head, body] = messageText("INVITE sip:bob@example.test SIP/2.0", ["Call-ID: x2"], "v=0\r\n").split("\r\n\r\n");
    expect(head?.split("\r\n").slice(1)).toEqual(["Call-ID: x2", "Content-Type: application/sdp", "Content-Length: 5"]);
    expect(body).toBe("v=0\r\n");
  });

  it("are read by the names of headers, whatever their case", () => {
    expect(valueOf(invite, "call-id")).toBe("x1");
    expect(valuesOf(invite, "Record-Route")).toEqual(["<sip:one;lr>, <sip:two;lr>", "<sip:three;lr>"]);
    expect(valueOf(invite, "Route")).toBe("");
  });
});
