const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

/** 192.0.2.1:40000 to 198.51.100.1:5060. */
const ipv4 = Buffer.from("c0000201c63364019c4013c4", "hex");
/** [2001:db8::7]:40000 to [2001:db8::1]:5060. */
const ipv6 = Buffer.from("20010db800000000000000000000000720010db80000000000000000000000019c4013c4", "hex");
const mapped = Buffer.from("00000000000000000000ffffc000020100000000000000000000ffffc63364019c4013c4", "hex");

/** A header of version 2: PROXY, TCP over IPv4, unless said otherwise. */
export function binaryHeader({
  command = 0x21,
  kind = 0x11,
  places = ipv4,
  rest = Buffer.alloc(0),
}: {
  command?: number;
  kind?: number;
  places?: Buffer;
  rest?: Buffer;
}): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(places.length + rest.length);
  return Buffer.concat([signature, Buffer.from([command, kind]), length, places, rest]);
}

/** So many octets of no meaning, with their type and length. */
export function tlv(type: number, octets: number): Buffer {
  return Buffer.concat([Buffer.from([type, octets >> 8, octets & 255]), Buffer.alloc(octets, 0x41)]);
}

const none = Buffer.alloc(0);
const phone = { address: "192.0.2.1", port: 40_000 };

/** All kinds of headers that are taken, and whom each names. */
export const headers: readonly { name: string; octets: Buffer; from: { address: string; port: number } | undefined }[] = [
  { name: "version 1, IPv4", octets: Buffer.from("PROXY TCP4 192.0.2.1 198.51.100.1 40000 5060\r\n"), from: phone },
  {
    name: "version 1, IPv6",
    octets: Buffer.from("PROXY TCP6 2001:DB8:0:0::7 2001:db8::1 40000 5060\r\n"),
    from: { address: "2001:db8::7", port: 40_000 },
  },
  { name: "version 1, IPv4 as IPv6", octets: Buffer.from("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 40000 5060\r\n"), from: phone },
  { name: "version 1, the longest", octets: Buffer.from(`PROXY UNKNOWN ${"f".repeat(91)}\r\n`), from: undefined },
  { name: "version 1, unknown", octets: Buffer.from("PROXY UNKNOWN\r\n"), from: undefined },
  { name: "version 2, IPv4", octets: binaryHeader({}), from: phone },
  { name: "version 2, IPv6", octets: binaryHeader({ kind: 0x21, places: ipv6 }), from: { address: "2001:db8::7", port: 40_000 } },
  { name: "version 2, IPv4 as IPv6", octets: binaryHeader({ kind: 0x21, places: mapped }), from: phone },
  { name: "version 2 with TLVs", octets: binaryHeader({ rest: Buffer.concat([tlv(0x20, 60), tlv(0xea, 30)]) }), from: phone },
  { name: "version 2, LOCAL", octets: binaryHeader({ command: 0x20, kind: 0, places: none }), from: undefined },
  { name: "version 2, LOCAL with addresses", octets: binaryHeader({ command: 0x20 }), from: undefined },
  { name: "version 2, UNSPEC", octets: binaryHeader({ kind: 0, places: none, rest: tlv(4, 5) }), from: undefined },
  { name: "version 2, UNIX", octets: binaryHeader({ kind: 0x31, places: Buffer.alloc(216) }), from: undefined },
];
