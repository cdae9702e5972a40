import { describe, expect, it } from "vitest";
import { flowOf, TestRegistrar } from "./registering.ts";

const nat = ["SIP/2.0/UDP 10.0.0.5:5060;rport=40000;received=203.0.113.9;branch=z9hG4bK1"];

describe("which way a phone is reached", () => {
  const cases: readonly [why: string, contact: string, via: string, flow: string, isOnFlow: boolean][] = [
    ["UDP, contact as seen", "sip:bob@192.0.2.4", "SIP/2.0/UDP 192.0.2.4", flowOf("UDP"), true],
    ["UDP, contact as seen, port named", "sip:bob@192.0.2.4:5060", "SIP/2.0/UDP 192.0.2.4:5060", flowOf("UDP"), true],
    ["UDP, another port of the same host", "sip:bob@192.0.2.4:5070", "SIP/2.0/UDP 192.0.2.4:5060", flowOf("UDP"), false],
    ["UDP, a third party's host", "sip:bob@198.51.100.1", "SIP/2.0/UDP 192.0.2.4:5060", flowOf("UDP"), false],
    ["UDP behind a NAT", "sip:bob@10.0.0.5", "SIP/2.0/UDP 10.0.0.5", flowOf("UDP", "203.0.113.9", 40_000), true],
    ["UDP behind a NAT, somebody else", "sip:bob@198.51.100.1", "SIP/2.0/UDP 10.0.0.5", flowOf("UDP", "203.0.113.9", 40_000), false],
    ["UDP, a NAT that changes the port only", "sip:bob@192.0.2.4", "SIP/2.0/UDP 192.0.2.4;rport", flowOf("UDP", "192.0.2.4", 61_000), true],
    [
      "UDP, without rport: it listens where it says",
      "sip:bob@192.0.2.4",
      "SIP/2.0/UDP 192.0.2.4",
      flowOf("UDP", "192.0.2.4", 61_000),
      false,
    ],
    ["UDP, without rport, port named", "sip:bob@192.0.2.4:5070", "SIP/2.0/UDP 192.0.2.4:5070", flowOf("UDP", "192.0.2.4", 61_000), false],
    ["UDP behind a NAT, without rport", "sip:bob@10.0.0.5:5070", "SIP/2.0/UDP 10.0.0.5:5070", flowOf("UDP", "203.0.113.9", 40_000), true],
    [
      "UDP behind a NAT, with rport, and a contact that its Via does not name (README, Phones of other machines)",
      "sip:uas@192.168.77.7:7777",
      "SIP/2.0/UDP 10.99.0.15:7000;rport",
      flowOf("UDP", "10.99.0.15", 7_000),
      false,
    ],
    ["the same with ob", "sip:uas@192.168.77.7:7777;ob", "SIP/2.0/UDP 10.99.0.15:7000;rport", flowOf("UDP", "10.99.0.15", 7_000), true],
    ["UDP, ob, whatever the host", "sip:bob@phone.test;ob", "SIP/2.0/UDP 192.0.2.4;rport", flowOf("UDP"), true],
    ["TCP, ob, whatever the host", "sip:bob@198.51.100.1;transport=tcp;ob", "SIP/2.0/TCP 192.0.2.4", flowOf("TCP"), true],
    ["UDP over IPv6", "sip:bob@[2001:db8::1]", "SIP/2.0/UDP [2001:db8::1]", flowOf("UDP", "2001:db8::1"), true],
    [
      "TCP from a port of the moment",
      "sip:bob@192.0.2.4:5060;transport=tcp",
      "SIP/2.0/TCP 192.0.2.4",
      flowOf("TCP", "192.0.2.4", 33_000),
      true,
    ],
    ["TLS behind a NAT", "sip:bob@10.0.0.5;transport=tls", "SIP/2.0/TLS 10.0.0.5", flowOf("TLS", "203.0.113.9", 33_000), true],
    ["TCP, a third party's host", "sip:bob@198.51.100.1", "SIP/2.0/TCP 192.0.2.4", flowOf("TCP", "192.0.2.4", 33_000), false],
    ["WebSocket", "sip:x1@df7jal23ls0d.invalid;transport=ws", "SIP/2.0/WS df7jal23ls0d.invalid", flowOf("WS"), true],
    ["a host that cannot be dialled", "sip:bob@phone.invalid", "SIP/2.0/TCP 192.0.2.4", flowOf("TCP"), true],
  ];
  it.each(cases)("%s", (_, contact, via, flow, isOnFlow) => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: [`<${contact}>`], vias: [`${via};branch=z9hG4bK1`], flow });
    expect(registrar.targets()[0]?.flow).toBe(isOnFlow ? flow : undefined);
    expect(registrar.targets()[0]?.requestUri).toBe(contact);
  });

  it("[RFC3261 10.2] behind another proxy without Path by the contact", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: ["<sip:bob@192.0.2.4>"], vias: ["SIP/2.0/UDP p.test;branch=z9hG4bK2", ...nat] });
    expect(registrar.targets()[0]?.flow).toBeUndefined();
  });
});

describe("the target set", () => {
  it("[RFC3261 16.6] comes in the order of q, none meaning 1, the latest first within one q", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: ["<sip:low@h.test>;q=0.1", "<sip:none@h.test>", "<sip:half@h.test>;q=0.5"] });
    registrar.now += 1;
    registrar.register({ contacts: ["<sip:late@h.test>;q=1.0"], cSeq: 2 });
    expect(registrar.targets().map(({ requestUri }) => requestUri)).toEqual([
      "sip:late@h.test",
      "sip:none@h.test",
      "sip:half@h.test",
      "sip:low@h.test",
    ]);
  });

  it("leaves out what has expired, what no proxy can send to, and what has no way", () => {
    const registrar = new TestRegistrar();
    registrar.register({
      contacts: ["<sip:gone@h.test>;expires=60", "<tel:+1555>", "<sip:here@h.test>", "<sip:ws@h.test;transport=ws>"],
    });
    registrar.now += 60_000;
    expect(registrar.targets().map(({ requestUri }) => requestUri)).toEqual(["sip:here@h.test"]);
  });

  it("[RFC5626 7] groups the contacts of one instance with one q, with or without reg-id", () => {
    const registrar = new TestRegistrar();
    const contacts = ['<sip:old@192.0.2.4>;+sip.instance="<urn:x:1>";q=0.2'];
    registrar.register({ contacts, flow: flowOf("TCP") });
    registrar.now += 1;
    registrar.register({ contacts: ['<sip:new@192.0.2.4>;+sip.instance="<urn:x:1>";q=0.8'], cSeq: 2 });
    expect(registrar.targets().map(({ requestUri, group, q }) => [requestUri, group, q])).toEqual([
      ["sip:new@192.0.2.4", "urn:x:1", 0.8],
      ["sip:old@192.0.2.4", "urn:x:1", 0.8],
    ]);
  });

  it("[RFC3261 26.2.2] goes to secure bindings only for a sips Request-URI", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: ["<sip:udp@192.0.2.4>"] });
    registrar.register({ contacts: ["<sip:tls@192.0.2.4;transport=tls>"], callId: "2", flow: flowOf("TLS") });
    registrar.register({ contacts: ["<sips:sips@192.0.2.9>"], callId: "3" });
    registrar.register({ contacts: ["<sip:x@y.invalid;transport=ws>"], callId: "4", flow: flowOf("WSS") });
    const secure = registrar.targets(true).map(({ requestUri }) => requestUri);
    expect(secure.toSorted()).toEqual(["sip:tls@192.0.2.4;transport=tls", "sip:x@y.invalid;transport=ws", "sips:sips@192.0.2.9"]);
    expect(registrar.targets()).toHaveLength(4);
  });

  it("names the binding of each target", () => {
    const registrar = new TestRegistrar();
    registrar.register({ contacts: ["<sip:bob@192.0.2.4>"] });
    const [target] = registrar.targets();
    expect(registrar.store.binding(target?.bindingKey ?? "")?.contact).toBe("sip:bob@192.0.2.4");
  });
});
