/** Networks as an operator writes them: `192.0.2.77`, `192.0.2.0/24`, `2001:db8::/48`. */

/** The widest that may be named: each is kept as the sources in it, 65 536 of the widest, some 5 MB. */
const bitsMin = { 4: 16, 6: 48 } as const;
const bitsMax = { 4: 32, 6: 128 } as const;

/** How wide they may be, for who has named another one. */
export const networkBounds = "/16 to /32, of IPv6 /48 to /128";

/** `familyOf`: 4 or 6, and another number for what is no address. Undefined: it is none, or too wide. An IPv6 address may stand in brackets. */
export function networkIn(text: string, familyOf: (address: string) => number): string | undefined {
  const [, bracketed, bare, digits] = /^(?:\[([^\]]+)\]|([^/]+))(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = bracketed ?? bare ?? "";
  const family = familyOf(address);
  if (family !== 4 && family !== 6) return undefined;
  if (digits === undefined) return address;
  // RFC 4291 2.5.5.2: that is one of IPv4, and its bits would be others.
  if (family === 6 && (address.includes(".") || /^[0:]*:ffff:/i.test(address))) return undefined;
  const bits = Number(digits);
  return bits >= bitsMin[family] && bits <= bitsMax[family] ? `${address}/${bits}` : undefined;
}
