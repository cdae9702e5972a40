import { describe, expect, it } from "vitest";
import { isParseError } from "../../../sip/errors.ts";
import { stringOf } from "../../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../../sip/message/sip-message.ts";
import type { Via } from "../../../sip/message/via.ts";
import { receivedLength } from "../../../sip/flow/brief-response.ts";
import { messageOctetsMax } from "../../../sip/limits.ts";
import { buildResponse } from "../../../sip/message/build.ts";
import { fallbackFlow, isBehindNat, responseFlow, stampAnswer, stampReceived } from "../../../sip/flow/response-flow.ts";
import { octetsOf } from "../../../sip/message/octets.ts";
import { parsed } from "../transaction/recorder.ts";

const udpFlow = "g1~u0..c000020213c4"; // 192.0.2.2:5060

function request(...vias: string[]): SipMessage {
  return parsed(
    octetsOf(
      `OPTIONS sip:x SIP/2.0\r\nVia: ${vias.join(", ")}\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n`,
    ),
  );
}

function stamped(via: string, flow = udpFlow): string {
  const message = stampReceived(request(via), flow);
  return stringOf(message.octets, message.start, message.end).split("\r\n")[1] ?? "";
}

function topVia(message: SipMessage): Via {
  const via = message.topVia;
  if (isParseError(via)) throw new Error(via.reason);
  return via;
}

describe("stampAnswer", () => {
  it.each([
    "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1",
    "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1",
    "SIP/2.0/UDP 192.0.2.2;rport;branch=z9hG4bK1",
    'SIP/2.0/UDP pc.test;x="a;rport";rport;branch=z9hG4bK1;received=1.2.3.4',
  ])("answers as stampReceived does, and reads the top Via so, but copies nothing: %s", (via) => {
    for (const vias of [[via], [via, "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK2"]]) {
      const message = request(...vias);
      const { octets } = message;
      stampAnswer(message, udpFlow);
      const stampedOne = stampReceived(request(...vias), udpFlow);
      expect(stringOf(buildResponse(message, 200))).toBe(stringOf(buildResponse(stampedOne, 200)));
      expect([topVia(message).received, topVia(message).rport]).toEqual([topVia(stampedOne).received, topVia(stampedOne).rport]);
      expect(receivedLength(message)).toBe(octets.length);
      expect(message.octets).toBe(octets);
    }
  });

  it("leaves a message alone that would be too long, and one whose Via cannot be read", () => {
    const head = "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\nContent-Length: ";
    const body = messageOctetsMax - `${head}60000\r\n\r\n`.length;
    const long = parsed(octetsOf(`${head}${body}\r\n\r\n${"b".repeat(body)}`));
    expect(long.end - long.start).toBe(messageOctetsMax);
    for (const message of [long, request("SIP/2.0")]) {
      const before = message.topVia;
      stampAnswer(message, udpFlow);
      expect(message.topVia).toBe(before);
      expect(message.answeredVia).toBeUndefined();
    }
    expect(stampReceived(long, udpFlow)).toBe(long);
  });
});

describe("stampReceived", () => {
  it("[RFC3261 18.2.1] adds received where the source is not the sent-by host, a name included", () => {
    expect(stamped("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1")).toBe("Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;received=192.0.2.2");
    expect(stamped("SIP/2.0/UDP pc.test;branch=z9hG4bK1")).toBe("Via: SIP/2.0/UDP pc.test;branch=z9hG4bK1;received=192.0.2.2");
  });

  it("[RFC3261 18.2.1] leaves the message as it is where it is the same", () => {
    const message = request("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1");
    expect(stampReceived(message, udpFlow)).toBe(message);
  });

  it("copies what came among much else: a message that is kept keeps nothing of others", () => {
    const text = stringOf(request("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1").octets);
    const frame = octetsOf("x".repeat(60_000) + text);
    const message = parseMessage(frame.subarray(60_000));
    if (isParseError(message)) throw new Error(message.reason);
    const alone = stampReceived(message, udpFlow);
    expect(stringOf(alone.octets, alone.start, alone.end)).toBe(text);
    expect(alone.octets.buffer.byteLength).toBe(text.length);
  });

  it("[RFC3581 4] fills rport in, with received even when it is identical", () => {
    expect(stamped("SIP/2.0/UDP 192.0.2.2;rport;branch=z9hG4bK1")).toBe(
      "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1;received=192.0.2.2;rport=5060",
    );
  });

  it.each([
    ["SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1;rport", "branch=z9hG4bK1"],
    ["SIP/2.0/UDP 192.0.2.2;rportal;rport;branch=z9hG4bK1", "rportal;branch=z9hG4bK1"],
    ["SIP/2.0/UDP 192.0.2.2;RPort;branch=z9hG4bK1", "branch=z9hG4bK1"],
    ["SIP/2.0/UDP 192.0.2.2; rport ;branch=z9hG4bK1", "branch=z9hG4bK1"],
    ['SIP/2.0/UDP 192.0.2.2;x="a;rport;b";rport;branch=z9hG4bK1', 'x="a;rport;b";branch=z9hG4bK1'],
  ])("[RFC3581 4] fills rport in however it is asked for: %s", (via, others) => {
    expect(stamped(via)).toBe(`Via: SIP/2.0/UDP 192.0.2.2;${others};received=192.0.2.2;rport=5060`);
  });

  it("gives the stamped Via's parameters to whoever asks", () => {
    const via = topVia(stampReceived(request("SIP/2.0/UDP 192.0.2.2:5070;rport;x=y;branch=z9hG4bK1"), udpFlow));
    expect(via).toMatchObject({ transport: "UDP", host: "192.0.2.2", port: 5070, branch: "z9hG4bK1", received: "192.0.2.2", rport: 5060 });
    expect(via.params.entries()).toEqual([
      ["x", "y"],
      ["branch", "z9hG4bK1"],
      ["received", "192.0.2.2"],
      ["rport", "5060"],
    ]);
  });

  it("replaces what the client claims", () => {
    expect(stamped("SIP/2.0/UDP 192.0.2.2;received=203.0.113.9;rport=9;branch=z9hG4bK1")).toBe(
      "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1;received=192.0.2.2;rport=5060",
    );
  });

  it("touches the top Via only, and keeps quoted and valueless parameters", () => {
    const message = stampReceived(request('SIP/2.0/UDP 10.0.0.1;x;y="a;b,c";branch=z9hG4bK1', "SIP/2.0/UDP 10.0.0.2;rport"), udpFlow);
    expect(stringOf(message.octets)).toContain(
      'Via: SIP/2.0/UDP 10.0.0.1;x;y="a;b,c";branch=z9hG4bK1;received=192.0.2.2, SIP/2.0/UDP 10.0.0.2;rport\r\n',
    );
  });

  it("[RFC5118 4.5] compares IPv6 addresses, not their texts", () => {
    const flow = "g1~u0..20010db800000000000000000000000913c4";
    const message = request("SIP/2.0/UDP [2001:db8:0:0::9]:5060;branch=z9hG4bK1");
    expect(stampReceived(message, flow)).toBe(message);
    expect(stamped("SIP/2.0/UDP [2001:db8::8];branch=z9hG4bK1", flow)).toBe(
      "Via: SIP/2.0/UDP [2001:db8::8];branch=z9hG4bK1;received=2001:db8::9",
    );
  });
});

describe("responseFlow", () => {
  it("[RFC3581 4] is the source when rport was asked for, [RFC3261 18.2.2] else the sent-by port", () => {
    const source = "g1~u0..c00002021f90";
    expect(responseFlow(stampReceived(request("SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK1"), source), source)).toBe(source);
    expect(responseFlow(stampReceived(request("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1"), source), source)).toBe("g1~u0..c000020213c4");
  });

  it("[RFC3261 18.2.2] is the connection that the request came on", () => {
    const flow = "g1~t1.c7.c00002021f90";
    expect(responseFlow(request("SIP/2.0/TCP 10.0.0.1:5070;branch=z9hG4bK1"), flow)).toBe(flow);
  });

  it("[RFC3261 18.2.2] does not follow maddr: nobody is sent responses that he did not ask for", () => {
    expect(responseFlow(request("SIP/2.0/UDP 192.0.2.2;maddr=203.0.113.9;branch=z9hG4bK1"), udpFlow)).toBe(udpFlow);
  });
});

describe("fallbackFlow", () => {
  it("[RFC3261 18.2.2] is any connection to the source at the sent-by port, for TCP and TLS", () => {
    expect(fallbackFlow(topVia(request("SIP/2.0/TCP 10.0.0.1:5070;branch=b")), "g1~t1.c7.c00002021f90")).toBe("g1~t1..c000020213ce");
    expect(fallbackFlow(topVia(request("SIP/2.0/TLS 10.0.0.1;branch=b")), "g1~s2.c7.c00002021f90")).toBe("g1~s2..c000020213c5");
  });

  it("[RFC7118 5] is none for WebSockets, for UDP, and for what has fallen back already", () => {
    const via = topVia(request("SIP/2.0/TCP 10.0.0.1:5070;branch=b"));
    expect(fallbackFlow(via, "a.1~w0.c7.c00002021f90")).toBeUndefined();
    expect(fallbackFlow(via, udpFlow)).toBeUndefined();
    expect(fallbackFlow(via, "g1~t1..c000020213ce")).toBeUndefined();
  });
});

function seen(via: string): boolean {
  return isBehindNat(topVia(request(via)));
}

describe("isBehindNat", () => {
  it("sees another address, or another port over UDP", () => {
    expect(seen("SIP/2.0/UDP 10.0.0.1;received=192.0.2.2;branch=b")).toBe(true);
    expect(seen("SIP/2.0/UDP 192.0.2.2:5060;received=192.0.2.2;rport=9000;branch=b")).toBe(true);
    expect(seen("SIP/2.0/UDP 192.0.2.2;received=192.0.2.2;rport=5060;branch=b")).toBe(false);
    expect(seen("SIP/2.0/UDP 192.0.2.2;branch=b")).toBe(false);
  });
});
