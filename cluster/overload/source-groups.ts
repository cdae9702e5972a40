const ipv4Digits = 8;
const networkDigits = 16;

/**
 * What a source counts as where there are too many to count apart: of IPv4 its /24, of IPv6 its /48 (RFC 6177), which one site has. Whoever invents
 * addresses meets in few of these those who exist. Sources that are no addresses count as one.
 */
export function groupOf(source: string): string {
  if (source.length === ipv4Digits) return source.slice(0, -2);
  return source.length === networkDigits ? source.slice(0, -4) : "";
}
