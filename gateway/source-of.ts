import { isIPv4 } from "node:net";

/** Hextets of an IPv6 address that name a subscriber's network: whoever has one has all addresses in it (RFC 6177). */
const hextetsOfSource = 4;

/** What limits for each source count by: an IPv4 address, or the first 64 bits of an IPv6 one, in any form that the system gives it. */
export function sourceOf(address: string): string {
  if (isIPv4(address)) return address;
  const [bare = ""] = address.split("%");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = "", tail] = bare.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length);
  return [...front, ...Array.from({ length: zeros }, () => "0"), ...back].slice(0, hextetsOfSource).join(":");
}
