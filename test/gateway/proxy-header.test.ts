import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readProxyHeader } from "../../gateway/listen/proxy-header.ts";
import { proxyHeaderOctetsMax } from "../../gateway/limits.ts";
import { binaryHeader, headers, tlv } from "./proxy-headers.ts";

const rest = Buffer.from("OPTIONS sip:example.test SIP/2.0\r\n");

function line(text: string): Buffer {
  return Buffer.from(`${text}\r\n`, "latin1");
}

describe("[PROXY protocol 2] a header", () => {
  test.each(headers)("$name is whole at its last octet and not before, and what follows is not its", ({ octets, from }) => {
    for (let length = 0; length < octets.length; length += 1) {
      expect(readProxyHeader(octets.subarray(0, length)), `${length} octets`).toEqual({ kind: "more" });
    }
    for (const behind of [Buffer.alloc(0), rest, octets]) {
      expect(readProxyHeader(Buffer.concat([octets, behind]))).toEqual({ kind: "header", length: octets.length, from });
    }
  });

  test("version 2 has as many octets behind its addresses as the limit says, and no more", () => {
    const most = binaryHeader({ rest: tlv(0xee, proxyHeaderOctetsMax - 16 - 12 - 3) });
    expect(most).toHaveLength(proxyHeaderOctetsMax);
    expect(readProxyHeader(most)).toMatchObject({ kind: "header", length: proxyHeaderOctetsMax });
    // Refused by its length: the rest is not waited for.
    const longer = binaryHeader({ rest: tlv(0xee, proxyHeaderOctetsMax - 16 - 12 - 2) });
    expect(readProxyHeader(longer.subarray(0, 16))).toMatchObject({ kind: "refused" });
  });

  test.each([
    ["SIP", rest, "it does not begin with a PROXY header"],
    ["TLS", Buffer.from([0x16, 3, 1]), "it does not begin with a PROXY header"],
    ["a keep-alive", Buffer.from("\r\n\r\nOPTIONS"), "it does not begin with a PROXY header"],
    ["a line that never ends", Buffer.from(`PROXY TCP4 ${"1".repeat(200)}`), "its line is too long"],
    ["a line one octet too long", line(`PROXY UNKNOWN ${"f".repeat(92)}`), "its line is too long"],
    ["lower case", line("PROXY tcp4 192.0.2.1 192.0.2.2 1 2"), "its line is malformed"],
    ["an address of the other family", line("PROXY TCP4 2001:db8::1 192.0.2.2 1 2"), "its line is malformed"],
    ["a name", line("PROXY TCP4 localhost 192.0.2.2 1 2"), "its line is malformed"],
    ["a zone", line("PROXY TCP6 fe80::1%eth0 fe80::2 1 2"), "its line is malformed"],
    ["a port too high", line("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2"), "its line is malformed"],
    ["a port with a zero before it", line("PROXY TCP4 192.0.2.1 192.0.2.2 01 2"), "its line is malformed"],
    ["two spaces", line("PROXY TCP4  192.0.2.1 192.0.2.2 1 2"), "its line is malformed"],
    ["something behind", line("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 "), "its line is malformed"],
    ["no addresses", line("PROXY TCP4"), "its line is malformed"],
    ["an unknown family", line("PROXY UDP4 192.0.2.1 192.0.2.2 1 2"), "its line is malformed"],
    ["both versions mixed", Buffer.concat([Buffer.from("PROXY "), binaryHeader({})]), "its line is malformed"],
    ["version 3", binaryHeader({ command: 0x31 }), "its version or command is unknown"],
    ["an unknown command", binaryHeader({ command: 0x22 }), "its version or command is unknown"],
    ["a datagram", binaryHeader({ kind: 0x12 }), "its addresses are malformed"],
    ["an unknown kind", binaryHeader({ kind: 0x41 }), "its addresses are malformed"],
    ["too short for its addresses", binaryHeader({ kind: 0x21 }), "its addresses are malformed"],
  ])("is refused: %s", (_name, octets, reason) => {
    expect(readProxyHeader(octets)).toEqual({ kind: "refused", reason });
  });

  // oxlint-disable-next-line vitest/expect-expect -- in the property
  test("whatever comes, nothing throws, and what is refused stays refused", () => {
    const begun = fc.constantFrom(...headers.map((each) => each.octets));
    const flip = fc.record({ at: fc.nat(60), octet: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(begun, fc.array(flip, { maxLength: 4 }), fc.uint8Array({ maxLength: 200 }), (octets, flips, behind) => {
        const changed = Buffer.concat([octets, behind]);
        for (const { at, octet } of flips) changed[at % changed.length] = octet;
        const kinds = Array.from(changed, (_, length) => readProxyHeader(changed.subarray(0, length)).kind);
        const last = readProxyHeader(changed).kind;
        const decided = kinds.findIndex((kind) => kind !== "more");
        expect(kinds.slice(decided < 0 ? kinds.length : decided).every((kind) => kind === last)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
