/** True for a dotted IPv4 address between two offsets (RFC 3261 25.1 IPv4address). */
export function isIpv4(text: string, start = 0, end: number = text.length): boolean {
  let parts = 0;
  let value = -1;
  let digits = 0;
  for (let i = start; i <= end; i++) {
    // The end is taken like a dot.
    const digit = (i < end ? text.charCodeAt(i) : 0x2e) - 0x30;
    if (digit >= 0 && digit <= 9) {
      value = digits === 0 ? digit : value * 10 + digit;
      digits++;
      continue;
    }
    if (digit !== 0x2e - 0x30 || digits === 0 || digits > 3 || value > 255) return false;
    parts++;
    digits = 0;
  }
  return parts === 4;
}

/** The four octets of a dotted IPv4 address, undefined for any other text. */
export function parseIpv4(text: string): number[] | undefined {
  return isIpv4(text) ? text.split(".").map(Number) : undefined;
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

/**
 * A host in the one spelling by which hosts are compared: lower-case, a name without its final dot (RFC 1034 3.1), an address by its value.
 * `127.000.0.1`, `[::ffff:7f00:1]`, `127.1` and `0x7f000001` are 127.0.0.1, and `[0:0::1]` is `[::1]`. Not for the wire: {@link canonicalHost} keeps
 * what was written.
 */
export function oneSpelling(host: string): string {
  const lower = host.toLowerCase();
  const name = lower.endsWith(".") ? lower.slice(0, -1) : lower;
  const first = name.charCodeAt(0);
  if (first === 0x5b) return ipv6Spelling(name);
  // A name that begins with a letter is no address.
  return first >= 0x30 && first <= 0x39 ? (parseIpv4(name) ?? looseIpv4(name) ?? [name]).join(".") : name;
}

/**
 * The four octets of an IPv4 address as `inet_aton` reads it, which many resolvers do. It has one to four numbers, decimal, octal or hexadecimal. The
 * last number is for all octets that are left. Undefined for any other text.
 */
function looseIpv4(text: string): number[] | undefined {
  const parts = text.length > 48 ? [] : text.split(".");
  if (parts.length === 0 || parts.length > 4 || !parts.every((part) => /^(?:0x[0-9a-f]+|[0-9]+)$/.test(part))) return undefined;
  const numbers = parts.map((part) => Number.parseInt(part, part.startsWith("0x") ? 16 : part.startsWith("0") ? 8 : 10));
  const last = numbers.pop() ?? Number.NaN;
  const left = 4 - numbers.length;
  if (!numbers.every((each) => each < 256) || !(last < 256 ** left)) return undefined;
  return [...numbers, ...Array.from({ length: left }, (_, i) => Math.floor(last / 256 ** (left - 1 - i)) % 256)];
}

function ipv6Spelling(host: string): string {
  const groups = parseIpv6(host.slice(1, -1));
  if (groups === undefined) return host;
  const [a = 0, b = 0] = groups.slice(6);
  // IPv4-mapped, or the older IPv4-compatible form (RFC 4291 2.5.5), which no IPv6 host has.
  const isIpv4Within = groups.slice(0, 5).every((group) => group === 0) && (groups[5] === 0xffff || (groups[5] === 0 && a !== 0));
  if (isIpv4Within) return `${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`;
  return `[${groups.map((group) => group.toString(16)).join(":")}]`;
}
