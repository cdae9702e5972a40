import { addressToHex } from "../../sip/flow/flow.ts";

const magicCookie = 0x2112a442;
const headerOctets = 20;

/** True when a datagram looks like STUN and not like SIP. Its two first bits are zero (RFC 5389 6) and it carries the magic cookie. */
export function isStun(octets: Uint8Array): boolean {
  if (octets.length < headerOctets || ((octets[0] ?? 0xff) & 0xc0) !== 0) return false;
  return new DataView(octets.buffer, octets.byteOffset, octets.length).getUint32(4) === magicCookie;
}

/**
 * The answer to a STUN binding request: a binding response with XOR-MAPPED-ADDRESS. Phones keep a UDP flow open by it, and learn that it still is the
 * same one (RFC 5626 3.5.2, 8). Undefined for any other STUN message.
 */
export function stunAnswer(request: Uint8Array, address: string, port: number): Uint8Array | undefined {
  if (request[0] !== 0x00 || request[1] !== 0x01) return undefined;
  const hex = addressToHex(address);
  const addressOctets = hex.length / 2;
  const answer = new Uint8Array(headerOctets + 8 + addressOctets);
  const view = new DataView(answer.buffer);
  view.setUint16(0, 0x0101);
  view.setUint16(2, 8 + addressOctets);
  answer.set(request.subarray(4, headerOctets), 4);
  view.setUint16(20, 0x0020);
  view.setUint16(22, 4 + addressOctets);
  view.setUint8(25, addressOctets === 4 ? 1 : 2);
  view.setUint16(26, port ^ (magicCookie >>> 16));
  // The address is XORed with the cookie and, for IPv6, the transaction id behind it.
  for (let i = 0; i < addressOctets; i += 1) {
    answer[28 + i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16) ^ (answer[4 + i] ?? 0);
  }
  return answer;
}
