/**
 * True when a datagram may be a SIP message: it starts with a letter or a CRLF, and `SIP/` stands in its first line. What is malformed
 * beyond that is the exchange's to refuse; random octets, keep-alives and STUN need not travel so far.
 */
export function isSipLike(octets: Uint8Array): boolean {
  let at = 0;
  while (octets[at] === 0x0d || octets[at] === 0x0a) at += 1;
  if (octets.length - at < shortest) return false;
  // A response says it first.
  if (isVersionAt(octets, at)) return true;
  // A request says it last.
  for (let i = at; i < octets.length && octets[i] !== 0x0a; i += 1) if (octets[i] === 0x2f && isVersionAt(octets, i - 3)) return true;
  return false;
}

/** `BYE a:b SIP/2.0` */
const shortest = 15;

function isVersionAt(octets: Uint8Array, at: number): boolean {
  return (
    octets[at + 3] === 0x2f &&
    ((octets[at] ?? 0) | 0x20) === 0x73 &&
    ((octets[at + 1] ?? 0) | 0x20) === 0x69 &&
    ((octets[at + 2] ?? 0) | 0x20) === 0x70
  );
}
