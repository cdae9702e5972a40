import { describe, expect, it } from "vitest";
import { joinFlow, serializeFlowKey } from "../../../sip/flow/flow.ts";
import { networkOfSource, sourceOfAddress, sourceOfFlow, sourcesOfNetwork } from "../../../sip/flow/source.ts";

describe("a source", () => {
  it.each([
    ["192.0.2.7", "c0000207"],
    ["::ffff:192.0.2.7", "c0000207"],
    ["2001:db8:1:2:3:4:5:6", "20010db800010002"],
    ["2001:db8:1:2::6", "20010db800010002"],
    ["2001:db8::6", "20010db800000000"],
    ["fe80::1%eth0", "fe80000000000000"],
    ["::1", "0000000000000000"],
  ])("is the same for an address and for any flow from it: %s", (address, source) => {
    expect(sourceOfAddress(address)).toBe(source);
    const keys = [
      { transport: "UDP", listener: 0, connection: "", address, port: 5060 },
      { transport: "WSS", listener: 11, connection: "k1", address, port: 9 },
      { transport: "TLS", listener: 1, connection: "", address, port: 65_535, serverName: "sip.example.test" },
    ] as const;
    for (const key of keys) for (const access of ["g1", "a.2"]) expect(sourceOfFlow(joinFlow(access, serializeFlowKey(key)))).toBe(source);
  });

  it.each([
    ["192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ])("is written for people: %s", (address, text) => {
    expect(networkOfSource(sourceOfAddress(address))).toBe(text);
    expect(networkOfSource("no address")).toBe("no address");
  });

  it.each(["", "g1", "g1~", "caller", "g1~u0"])("of what is no flow is that text: %j", (flow) => {
    expect(sourceOfFlow(flow)).toBe(flow);
  });

  it.each([
    ["192.0.2.7", ["192.0.2.7"], ["192.0.2.6", "192.0.2.8"]],
    ["192.0.2.9/32", ["192.0.2.9"], ["192.0.2.8", "192.0.2.10"]],
    ["192.0.2.9/24", ["192.0.2.0", "192.0.2.9", "192.0.2.255"], ["192.0.1.255", "192.0.3.0"]],
    ["9.0.0.0/16", ["9.0.0.0", "9.0.255.255"], ["8.255.255.255", "9.1.0.0"]],
    ["255.255.0.0/16", ["255.255.255.255"], ["255.254.255.255"]],
    ["2001:db8::9/128", ["2001:db8::1"], ["2001:db8:0:1::9"]],
    ["2001:db8:1::/48", ["2001:db8:1::", "2001:db8:1:ffff::1"], ["2001:db8:2::", "2001:db8:0:ffff::"]],
  ])("is one of those in a network: %s", (network, within, without) => {
    const sources = new Set(sourcesOfNetwork(network));
    for (const address of within) expect(sources.has(sourceOfAddress(address))).toBe(true);
    for (const address of without) expect(sources.has(sourceOfAddress(address))).toBe(false);
  });
});
