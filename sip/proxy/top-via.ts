import { MessageEdit } from "../message/edit.ts";
import * as headerLines from "../message/header-lines.ts";
import { Header } from "../message/header-names.ts";
import { writeText } from "../message/octets.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { withoutIdentities } from "./identity-headers.ts";

/**
 * RFC 3261 16.7 3: a response without its topmost Via value, every other octet as it came. Undefined when no Via would be left: it was meant for this
 * element and must not be forwarded. `isStream`: it leaves over TCP or TLS, where a Content-Length must tell its end (18.3). One that came over UDP
 * may have none, and gets one.
 *
 * Every response that passes goes through here. It is `MessageEdit.removeFirst` for this one header, in one look at the header lines. Who it says
 * that somebody is goes too: see identity-headers.ts.
 */
export function withoutTopVia(message: SipMessage, isStream: boolean): Uint8Array | undefined {
  if (message.hasIdentityHeaders) return withoutTopViaAndIdentities(message, isStream);
  const { lines, octets } = message;
  const added = isStream && !message.has(Header.ContentLength) ? `Content-Length: ${message.bodyEnd - message.bodyStart}\r\n` : "";
  const count = headerLines.lineCount(lines);
  let first = 0;
  while (first < count && headerLines.lineId(lines, first) !== Header.Via) first += 1;
  if (first === count) return undefined;
  const valueStart = headerLines.valueStart(lines, first);
  const valueEnd = headerLines.valueEnd(octets, lines, first);
  const comma = headerLines.endOfValue(octets, valueStart, valueEnd);
  const next = headerLines.trimmedStart(octets, comma + 1, valueEnd);
  if (next < valueEnd) return without(message, valueStart, next, added); // a comma list: the next value takes its place
  let second = first + 1;
  while (second < count && headerLines.lineId(lines, second) !== Header.Via) second += 1;
  return second === count ? undefined : without(message, headerLines.lineStart(lines, first), headerLines.lineEnd(lines, first), added);
}

function withoutTopViaAndIdentities(message: SipMessage, isStream: boolean): Uint8Array | undefined {
  // Two offsets for each value.
  if (message.valueRanges(Header.Via).length < 4) return undefined;
  const edit = withoutIdentities(new MessageEdit(message).removeFirst(Header.Via));
  if (isStream && !message.has(Header.ContentLength)) edit.append(Header.ContentLength, String(message.bodyEnd - message.bodyStart));
  return edit.serialize();
}

/** The message without the octets from `from` to `to`, with `added` as its last header lines. */
function without(message: SipMessage, from: number, to: number, added: string): Uint8Array {
  const { octets, start, end } = message;
  const target = new Uint8Array(end - start - (to - from) + added.length);
  target.set(octets.subarray(start, from), 0);
  const headersEnd = message.bodyStart - 2; // before the empty line
  target.set(octets.subarray(to, headersEnd), from - start);
  const at = writeText(target, headersEnd - start - (to - from), added);
  target.set(octets.subarray(headersEnd, end), at);
  return target;
}
