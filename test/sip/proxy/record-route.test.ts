import { describe, expect, it } from "vitest";
import { octetsOf } from "../../../sip/message/octets.ts";
import { flowBackTo } from "../../../sip/proxy/record-route.ts";
import { stampReceived } from "../../../sip/flow/response-flow.ts";
import { parsed, tcp, udp } from "../transaction/recorder.ts";

/** What leads back to the sender of an INVITE over UDP from 192.0.2.2:5060, or over TCP. */
function backTo(via: string, contact: string, flow = udp): string {
  const lines = [
    "INVITE sip:bob@example.test SIP/2.0",
    `Via: ${via};branch=z9hG4bK1`,
    "From: <sip:alice@example.test>;tag=a",
    "To: <sip:bob@example.test>",
    "Call-ID: c",
    "CSeq: 1 INVITE",
    `Contact: <${contact}>`,
  ];
  return flowBackTo(stampReceived(parsed(octetsOf(`${lines.join("\r\n")}\r\n\r\n`)), flow), flow);
}

describe("[RFC5626 5.3] the way back to whoever sent a request", () => {
  it.each([
    ["over UDP its Contact", "SIP/2.0/UDP 192.0.2.2:5060;rport", "sip:alice@192.0.2.2", udp, ""],
    ["over TCP its connection", "SIP/2.0/TCP 192.0.2.2:5060", "sip:alice@192.0.2.2;transport=tcp", tcp, tcp],
    ["behind a NAT the hole in it", "SIP/2.0/UDP 10.0.0.2:5060;rport", "sip:alice@10.0.0.2", udp, udp],
    ["behind a NAT that changes the port the same", "SIP/2.0/UDP 192.0.2.2:5070;rport", "sip:alice@192.0.2.2:5070", udp, udp],
    ["without rport, from another port than it listens on, its Contact", "SIP/2.0/UDP 192.0.2.2:5070", "sip:alice@192.0.2.2:5070", udp, ""],
    ["with ob in its Contact its flow", "SIP/2.0/UDP 192.0.2.2:5060;rport", "sip:alice@192.0.2.2;ob", udp, udp],
    ["with ob in another parameter its Contact", "SIP/2.0/UDP 192.0.2.2:5060;rport", "sip:alice@192.0.2.2;x=1;obx", udp, ""],
  ])("is %s", (_, via, contact, flow, expected) => {
    expect(backTo(via, contact, flow)).toBe(expected);
  });
});
