import { decimalOf } from "./characters.ts";

/** The four octets of a dotted IPv4 address (RFC 3261 25.1 IPv4address), undefined for any other text. */
export function parseIpv4(text: string): number[] | undefined {
  const octets: number[] = [];
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    if (i < text.length && text.charCodeAt(i) !== 0x2e) continue;
    const value = i - start > 3 ? -1 : decimalOf(text, start, i);
    if (value < 0 || value > 255 || octets.length === 4) return undefined;
    octets.push(value);
    start = i + 1;
  }
  return octets.length === 4 ? octets : undefined;
}

/**
 * The eight groups of an IPv6 address without brackets (RFC 4291 2.2, with `::` and a dotted tail), undefined for any other text.
 * `:::` before a dotted tail is read as `::` (RFC 5118 4.10); see {@link canonicalHost}.
 */
export function parseIpv6(address: string): number[] | undefined {
  if (address.length < 2 || address.length > 46) return undefined;
  const text = withoutThirdColon(address);
  const gap = text.indexOf("::");
  if (gap < 0) {
    const groups = groupsOf(text);
    return groups?.length === 8 ? groups : undefined;
  }
  const head = gap === 0 ? [] : groupsOf(text.slice(0, gap), false);
  const tail = gap + 2 === text.length ? [] : groupsOf(text.slice(gap + 2));
  if (head === undefined || tail === undefined || head.length + tail.length > 7) return undefined;
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail];
}

function groupsOf(text: string, mayEndDotted = true): number[] | undefined {
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (mayEndDotted && i === parts.length - 1 && part.includes(".")) {
      const [a = 0, b = 0, c = 0, d = 0] = parseIpv4(part) ?? [-1];
      if (a < 0) return undefined;
      groups.push(a * 256 + b, c * 256 + d);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/** The ABNF of RFC 3261 has a colon too many before a dotted tail (RFC 5118 4.10). */
function withoutThirdColon(text: string): string {
  return text.includes(":::") && text.includes(".") ? text.replace(":::", "::") : text;
}

/** A host in the spelling the core keeps: lower-case, and with the third colon of RFC 5118 4.10 gone. */
export function canonicalHost(host: string): string {
  return withoutThirdColon(host).toLowerCase();
}

/** True for `[...]` around an IPv6 address (RFC 3261 25.1 IPv6reference). */
export function isIpv6Reference(text: string): boolean {
  return text.startsWith("[") && text.endsWith("]") && parseIpv6(text.slice(1, -1)) !== undefined;
}
