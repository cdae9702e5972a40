import { addressToHex, hexToAddress } from "../../sip/flow/flow.ts";
import type { UdpPlace } from "./udp-listener.ts";

/** Where a listener sends to. An address that is none becomes 0.0.0.0 or ::. */
export function udpPlace(address: string, port: number): UdpPlace {
  return { address, port, words: wordsOf(address) };
}

/** An address as the system has it in memory: octets in network order, read as numbers of 32 bits in this machine's. */
function wordsOf(address: string): Int32Array {
  return new Int32Array(Uint8Array.from(Buffer.from(addressToHex(address), "hex")).buffer);
}

/** The inverse: dotted IPv4 for one number, IPv6 for four (RFC 5952). */
export function addressOfWords(words: Int32Array): string {
  return hexToAddress(Buffer.from(words.buffer, words.byteOffset, words.byteLength).toString("hex"));
}
