import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  accessOfFlow,
  addressToHex,
  flowKeyOf,
  hexToAddress,
  joinFlow,
  parseFlowKey,
  serializeFlowKey,
  splitFlow,
  transportOfFlow,
  type FlowKey,
  addressOf,
  sourceOf,
} from "../../../sip/flow/flow.ts";

describe("reading flows", () => {
  it("is the same in whatever order they are asked for, what is none included", () => {
    const flows = ["g1~u0..7f00000113c4", "g2~u0..7f00000113c4", "a.0~w0.k1.7f00000113c4", "g1~no key", "g1", "~", ""];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...flows), { maxLength: 30 }), (asked) => {
        for (const flow of asked) {
          const at = flow.indexOf("~");
          const split = at <= 0 || at === flow.length - 1 ? undefined : { access: flow.slice(0, at), key: flow.slice(at + 1) };
          expect(splitFlow(flow)).toEqual(split);
          expect(flowKeyOf(flow)).toEqual(split === undefined ? undefined : parseFlowKey(split.key));
        }
      }),
    );
  });
});

describe("flow keys (RFC 5626)", () => {
  it("describe themselves", () => {
    const key: FlowKey = { transport: "UDP", listener: 0, connection: "", address: "127.0.0.1", port: 5060 };
    expect(serializeFlowKey(key)).toBe("u0..7f00000113c4");
    expect(parseFlowKey("u0..7f00000113c4")).toEqual(key);
    expect(parseFlowKey("s2..7f00000113c5.sip.example.com")).toMatchObject({ transport: "TLS", serverName: "sip.example.com" });
  });

  it("hold any IPv4 address and port", () => {
    const octet = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(octet, octet, octet, octet, fc.integer({ min: 0, max: 65535 }), (a, b, c, d, port) => {
        const key: FlowKey = { transport: "TCP", listener: 3, connection: "k3f9", address: `${a}.${b}.${c}.${d}`, port };
        expect(parseFlowKey(serializeFlowKey(key))).toEqual(key);
      }),
    );
  });

  it.each([
    ["2001:db8::1", "2001:db8::1"],
    ["::1", "::1"],
    ["[::1]", "::1"],
    ["::ffff:192.0.2.1", "::ffff:c000:201"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["fe80::1%eth0", "fe80::1"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
  ])("hold the IPv6 address %s (RFC 5952)", (address, shortest) => {
    expect(hexToAddress(addressToHex(address))).toBe(shortest);
  });

  it("never throw on any text", () => {
    expect(() => fc.assert(fc.property(fc.string(), (text) => parseFlowKey(text) === undefined))).not.toThrow();
  });

  it("write again what they accept", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[utswx](?:0|[1-9][0-9]{0,2})\.[a-z0-9]{0,5}\.[0-9a-f]{12}$/), (text) => {
        const key = parseFlowKey(text);
        expect(key === undefined ? undefined : serializeFlowKey(key)).toBe(text);
      }),
    );
  });

  it("name their access in front", () => {
    const flow = joinFlow("a.2", "w0.k1.7f0000010000");
    expect(splitFlow(flow)).toEqual({ access: "a.2", key: "w0.k1.7f0000010000" });
    expect(accessOfFlow(flow)).toBe("a.2");
    expect(transportOfFlow(flow)).toBe("WS");
    expect(splitFlow("~u0")).toBeUndefined();
    expect(splitFlow("g1~")).toBeUndefined();
    expect(splitFlow("g1")).toBeUndefined();
  });
});

describe("who sends on a flow, as limits count", () => {
  it.each([
    ["198.51.100.7", "198.51.100.7"],
    ["2001:db8:1:2:3:4:5:6", "20010db800010002"],
    ["2001:db8:1:2::", "20010db800010002"],
    ["::ffff:198.51.100.7", "198.51.100.7"],
  ])("%s is %s", (address, source) => {
    expect(sourceOf(flowOf(address))).toBe(source);
  });

  it("is nobody's where there is no address", () => {
    expect([sourceOf("g1~junk"), sourceOf(""), addressOf("g1~junk")]).toEqual(["", "", ""]);
  });
});

function flowOf(address: string): string {
  return `g1~${serializeFlowKey({ transport: "UDP", listener: 0, connection: "", address, port: 5060 })}`;
}
