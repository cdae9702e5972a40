import { isParseError, parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { listValuesMax, messageOctetsMax } from "../limits.ts";
import { TOKEN, codeAt, decimalOf, isOf, isToken, skipSpace } from "./characters.ts";
import { Header, isListHeader } from "./header-names.ts";
import type { HeaderId } from "./header-names.ts";
import * as headerLines from "./header-lines.ts";
import type { HeaderLines } from "./header-lines.ts";
import { checkMandatory } from "./mandatory.ts";
import { methodOf } from "./methods.ts";
import { parseNameAddr } from "./name-addr.ts";
import type { NameAddr } from "./name-addr.ts";
import type { OctetWriter } from "./octet-writer.ts";
import { stringOf } from "./octets.ts";
import { plainCSeqAt, plainNumberAt } from "./plain-numbers.ts";
import { plainNameAddrAt } from "./plain-name-addr.ts";
import { plainViaAt } from "./plain-via.ts";
import { Scan } from "./scan.ts";
import { parseUri } from "./uri.ts";
import type { Uri } from "./uri.ts";
import { parseVia } from "./via.ts";
import type { Via } from "./via.ts";

// What the getters below return is named here too: who holds a message needs no second import.
export type { NameAddr } from "./name-addr.ts";
export type { Via } from "./via.ts";

/** A CSeq (RFC 3261 20.16). */
export type CSeq = { readonly number: number; readonly method: string };

/**
 * Reads a datagram or one framed message, without copying: the octets must not change afterwards. Only the start line and the header names are read
 * now, the rest when it is asked for. {@link SipMessage.checkMandatory} says whether all that a server needs is sound.
 *
 * Errors: 400 for what is no SIP message, 505 for another version, 414 and 513 for sizes. A 400 is for a start line, a header name, a missing end of
 * headers, or a Content-Length that is no number or is more than came. `message` is there when it is a request that can be answered.
 *
 * Octets behind Content-Length are not part of the message (RFC 3261 18.3).
 */
export function parseMessage(octets: Uint8Array, start = 0, end: number = octets.length): SipMessage | ParseError {
  const bounded = Math.min(end, octets.length);
  if (bounded - start > messageOctetsMax) {
    // Its headers may still tell whom to answer.
    return errorOf(Scan.read(octets, start, start + messageOctetsMax), "message-max", 513, "Message Too Large", messageOctetsMax);
  }
  const scan = Scan.read(octets, start, bounded);
  if (scan.error !== undefined) {
    return errorOf(scan, scan.error.error, scan.error.status, scan.error.reason, scan.error.offset);
  }
  if (scan.contentLength > bounded - scan.bodyStart) {
    return errorOf(scan, "content-length", 400, "Body Shorter Than Content-Length", scan.bodyStart);
  }
  return new SipMessage(scan);
}

/** The error, with the message when it can be answered. */
export function errorOf(scan: Scan, error: string, status: number, reason: string, offset: number): ParseError {
  const message = new SipMessage(scan);
  const plain = parseError(error, status, reason, offset);
  return message.isAnswerable ? plain.of(message) : plain;
}

/**
 * A message over its octets. Getters read when first asked and remember. What is malformed is an error value of that getter alone.
 */
export class SipMessage {
  readonly octets: Uint8Array;
  /** The message is `octets` from `start` to `end`: without CRLFs before it and octets behind its body. */
  readonly start: number;
  readonly end: number;
  readonly isRequest: boolean;
  /** 0 for a request. */
  readonly status: number;
  readonly bodyStart: number;
  readonly bodyEnd: number;
  /** Offsets of the header lines, for {@link MessageEdit} and the builders. */
  readonly lines: HeaderLines;

  readonly #scan: Scan;
  #method: string | undefined;
  #requestUri: string | undefined;
  #parsedRequestUri: Uri | ParseError | undefined;
  #topVia: Via | ParseError | undefined;
  #answeredVia: string | undefined;
  #vias: Via[] | ParseError | undefined;
  #from: NameAddr | ParseError | undefined;
  #to: NameAddr | ParseError | undefined;
  #callId: string | undefined;
  #cSeq: CSeq | ParseError | undefined;
  #routes: NameAddr[] | ParseError | undefined;
  #contacts: NameAddr[] | "*" | ParseError | undefined;

  /** Made by {@link parseMessage}. */
  constructor(scan: Scan) {
    this.#scan = scan;
    this.octets = scan.octets;
    this.start = scan.start;
    this.isRequest = scan.isRequest;
    this.status = scan.status;
    this.lines = scan.lines;
    this.bodyStart = scan.bodyStart;
    const length = scan.contentLength;
    this.bodyEnd = length >= 0 && scan.bodyStart + length < scan.end ? scan.bodyStart + length : scan.end;
    this.end = this.bodyEnd;
  }

  /** As on the wire: methods are case-sensitive (RFC 3261 7.1). `""` for a response; see {@link cSeq}. */
  get method(): string {
    return (this.#method ??= this.isRequest ? methodOf(this.octets, this.start, this.#scan.firstEnd) : "");
  }

  /** As on the wire. `""` for a response. */
  get requestUri(): string {
    if (!this.isRequest) return "";
    return (this.#requestUri ??= stringOf(this.octets, this.#scan.secondStart, this.#scan.secondEnd));
  }

  get parsedRequestUri(): Uri | ParseError {
    return (this.#parsedRequestUri ??= parseUri(this.requestUri));
  }

  /** Offsets of the Request-URI; of the reason phrase in a response. */
  get requestUriRange(): readonly [start: number, end: number] {
    return [this.#scan.secondStart, this.#scan.secondEnd];
  }

  /** `""` for a request. */
  get reasonPhrase(): string {
    return this.isRequest ? "" : stringOf(this.octets, this.#scan.secondStart, this.#scan.secondEnd);
  }

  /** The body's octets: a view, not a copy. By Content-Length, or what follows the headers when there is none (RFC 3261 18.3). */
  body(): Uint8Array {
    return this.octets.subarray(this.bodyStart, this.bodyEnd);
  }

  /**
   * True when a response could find its way back: it has a Via. Whatever else a response copies may be missing: RFC 4475 3.3.1 wants even
   * a request without From, To and Call-ID answered.
   */
  get isAnswerable(): boolean {
    return this.isRequest && this.has(Header.Via);
  }

  has(id: HeaderId): boolean {
    return id < 32 ? (this.#scan.present & (1 << id)) !== 0 : this.#find(id) >= 0;
  }

  /** Whether one of P-Asserted-Identity, P-Preferred-Identity, Remote-Party-ID and Privacy is there. */
  get hasIdentityHeaders(): boolean {
    return this.#scan.hasIdentityHeaders;
  }

  /** The line on which a header stands that may stand once only and has stood before (RFC 3261 7.3.1); -1: there is none. */
  get repeatedLine(): number {
    return this.#scan.repeatedLine;
  }

  /** The first line's value, unfolded and trimmed; undefined when there is none. */
  text(id: HeaderId): string | undefined {
    const line = this.#find(id);
    return line < 0 ? undefined : this.#value(line);
  }

  /** Offsets of the first line's value, trimmed; undefined when there is none. */
  firstValueRange(id: HeaderId): [start: number, end: number] | undefined {
    const line = this.#find(id);
    return line < 0 ? undefined : [headerLines.valueStart(this.lines, line), headerLines.valueEnd(this.octets, this.lines, line)];
  }

  /** Writes a value, unfolded. */
  writeValue(writer: OctetWriter, start: number, end: number): void {
    if (this.#scan.hasFolds) writer.text(headerLines.unfolded(this.octets, start, end));
    else writer.octets(this.octets, start, end);
  }

  /** All values in order: those of a list header one by one (RFC 3261 7.3.1), else one a line. Empty list elements are left out. */
  values(id: HeaderId): string[] {
    const texts: string[] = [];
    const ranges = this.valueRanges(id);
    for (let i = 0; i < ranges.length; i += 2) texts.push(this.#textAt(ranges[i] ?? 0, ranges[i + 1] ?? 0));
    return texts;
  }

  /** One value a line of the headers with this name, in any case: for names without an id. Commas are not looked at, nor compact forms. */
  valuesOf(name: string): string[] {
    const texts: string[] = [];
    const lowerName = name.toLowerCase();
    for (let line = 0; line < headerLines.lineCount(this.lines); line++) {
      if (this.nameAt(line).toLowerCase() === lowerName) texts.push(this.#value(line));
    }
    return texts;
  }

  /** The name of a header line, as it stands. */
  nameAt(line: number): string {
    const start = headerLines.lineStart(this.lines, line);
    let end = start;
    while (isOf(this.octets[end] ?? 0, TOKEN)) end++;
    return stringOf(this.octets, start, end);
  }

  /** Offsets of all values of a header, [start, end, start, end, ...], without the white space around them. */
  valueRanges(id: HeaderId): number[] {
    const ranges: number[] = [];
    if (!this.has(id)) return ranges;
    const { octets, lines } = this;
    const isList = isListHeader(id);
    const count = headerLines.lineCount(lines);
    for (let line = 0; line < count; line++) {
      if (headerLines.lineId(lines, line) !== id) continue;
      const lineValueEnd = headerLines.valueEnd(octets, lines, line);
      let start = headerLines.valueStart(lines, line);
      while (start < lineValueEnd) {
        const end = isList ? headerLines.endOfValue(octets, start, lineValueEnd) : lineValueEnd;
        const trimmed = headerLines.trimmedEnd(octets, start, end);
        if (trimmed > start) ranges.push(start, trimmed);
        start = headerLines.trimmedStart(octets, end + 1, lineValueEnd);
      }
    }
    return ranges;
  }

  get topVia(): Via | ParseError {
    return (this.#topVia ??= this.#readTopVia());
  }

  get vias(): Via[] | ParseError {
    return (this.#vias ??= this.#readVias());
  }

  /** The same message with another top Via, which must be readable; `via.text` is what stands there then. */
  withTopVia(via: Via): SipMessage {
    const [start, end] = this.#topViaRange();
    const message = new SipMessage(this.#scan.withText(start, end, via.text, this.end));
    message.#topVia = via;
    return message;
  }

  /**
   * From now on its top Via is read as this one, and answered so. Its octets stay as they are: for what is answered within its event and not sent on,
   * whose octets need no copy.
   */
  answerVia(via: Via): void {
    this.#topVia = via;
    this.#answeredVia = via.text;
  }

  /** The text of its top Via in answers; undefined: what its octets have. */
  get answeredVia(): string | undefined {
    return this.#answeredVia;
  }

  get from(): NameAddr | ParseError {
    return (this.#from ??= this.#readNameAddr(Header.From));
  }

  get to(): NameAddr | ParseError {
    return (this.#to ??= this.#readNameAddr(Header.To));
  }

  get fromTag(): string | undefined {
    const from = this.from;
    return isParseError(from) ? undefined : from.tag;
  }

  get toTag(): string | undefined {
    const to = this.to;
    return isParseError(to) ? undefined : to.tag;
  }

  /** `""` when there is none. */
  get callId(): string {
    return (this.#callId ??= this.text(Header.CallId) ?? "");
  }

  get cSeq(): CSeq | ParseError {
    return (this.#cSeq ??= this.#readCSeq());
  }

  /** Undefined when there is none; the number may be over {@link maxForwardsMax}, checkMandatory refuses that. */
  get maxForwards(): number | undefined | ParseError {
    const line = this.#find(Header.MaxForwards);
    if (line < 0) return undefined;
    const number = plainNumberAt(
      this.octets,
      headerLines.valueStart(this.lines, line),
      headerLines.valueEnd(this.octets, this.lines, line),
    );
    if (number >= 0) return number;
    const text = this.#value(line);
    const value = decimalOf(text, 0, text.length);
    return value < 0 ? parseError("max-forwards", 400, "Malformed Max-Forwards") : value;
  }

  get routes(): NameAddr[] | ParseError {
    return (this.#routes ??= this.nameAddrs(Header.Route));
  }

  /** `"*"` when that stands alone (RFC 3261 10.2.2); beside other contacts it is an error. */
  get contacts(): NameAddr[] | "*" | ParseError {
    return (this.#contacts ??= this.#readContacts());
  }

  /** Delta-seconds; above 2^32-1 is 2^32-1, malformed is 3600 (RFC 3261 20.10, 20.19); undefined when there is none. */
  get expires(): number | undefined {
    const text = this.text(Header.Expires);
    return text === undefined ? undefined : expiresOf(text);
  }

  /** The option-tags of Require, Supported, Proxy-Require, ..., lower-case. */
  optionTags(id: HeaderId): string[] {
    return this.values(id).map((value) => value.toLowerCase());
  }

  /** What RFC 3261 8.1.1 and 16.3 1 ask of every request; of a response, what matching it needs. The first thing wrong, or undefined. */
  checkMandatory(): ParseError | undefined {
    return checkMandatory(this);
  }

  /** All values of a header that holds name-addrs: Record-Route, Path, Service-Route, P-Asserted-Identity, ... */
  nameAddrs(id: HeaderId): NameAddr[] | ParseError {
    const plain = this.#plainValues(id, plainNameAddrAt);
    if (plain !== undefined) return plain;
    const ranges = this.valueRanges(id);
    if (ranges.length > listValuesMax * 2) return parseError("list-max", 400, "Too Many Values", ranges[0]);
    const nameAddrs: NameAddr[] = [];
    for (let i = 0; i < ranges.length; i += 2) {
      const nameAddr = parseNameAddr(this.#textAt(ranges[i] ?? 0, ranges[i + 1] ?? 0));
      if (isParseError(nameAddr)) return nameAddr;
      nameAddrs.push(nameAddr);
    }
    return nameAddrs;
  }

  #find(id: HeaderId): number {
    if (id < 32 && (this.#scan.present & (1 << id)) === 0) return -1;
    const { lines } = this;
    const last = lines.length - headerLines.STRIDE;
    for (let i = 0; i < last; i += headerLines.STRIDE) {
      if (((lines[i] ?? 0) & 0xff) === id) return i / headerLines.STRIDE;
    }
    return -1;
  }

  #value(line: number): string {
    const start = headerLines.valueStart(this.lines, line);
    const end = headerLines.valueEnd(this.octets, this.lines, line);
    return headerLines.isFolded(this.lines, line) ? headerLines.unfolded(this.octets, start, end) : stringOf(this.octets, start, end);
  }

  #textAt(start: number, end: number): string {
    return this.#scan.hasFolds ? headerLines.unfolded(this.octets, start, end) : stringOf(this.octets, start, end);
  }

  /** Offsets of the topmost Via value, which may be empty. There must be a Via. */
  #topViaRange(): [start: number, end: number] {
    const line = this.#find(Header.Via);
    const start = headerLines.valueStart(this.lines, line);
    const lineValueEnd = headerLines.valueEnd(this.octets, this.lines, line);
    const end = headerLines.endOfValue(this.octets, start, lineValueEnd);
    return [start, headerLines.trimmedEnd(this.octets, start, end)];
  }

  #readTopVia(): Via | ParseError {
    if (!this.has(Header.Via)) return parseError("via", 400, "Missing Via");
    const line = this.#find(Header.Via);
    const end = headerLines.valueEnd(this.octets, this.lines, line);
    const plain = this.#scan.hasFolds ? undefined : plainViaAt(this.octets, headerLines.valueStart(this.lines, line), end);
    return plain ?? parseVia(this.#textAt(...this.#topViaRange()));
  }

  #readVias(): Via[] | ParseError {
    const plain = this.#plainValues(Header.Via, plainViaAt);
    if (plain !== undefined) {
      this.#topVia ??= plain[0];
      return plain;
    }
    const ranges = this.valueRanges(Header.Via);
    if (ranges.length === 0) return [];
    if (ranges.length > listValuesMax * 2) return parseError("list-max", 400, "Too Many Values", ranges[0]);
    const top = this.topVia;
    if (isParseError(top)) return top;
    const vias = [top];
    for (let i = 2; i < ranges.length; i += 2) {
      const via = parseVia(this.#textAt(ranges[i] ?? 0, ranges[i + 1] ?? 0));
      if (isParseError(via)) return via;
      vias.push(via);
    }
    return vias;
  }

  /** All values of a list header; undefined when one of them is not plain, or empty, or there are too many. */
  #plainValues<T extends { readonly end: number }>(
    id: HeaderId,
    read: (octets: Uint8Array, start: number, end: number) => T | undefined,
  ): T[] | undefined {
    const { octets, lines } = this;
    const values: T[] = [];
    if (!this.has(id)) return values;
    if (this.#scan.hasFolds) return undefined;
    const count = headerLines.lineCount(lines);
    for (let line = 0; line < count; line++) {
      if (headerLines.lineId(lines, line) !== id) continue;
      const lineValueEnd = headerLines.valueEnd(octets, lines, line);
      let start = headerLines.valueStart(lines, line);
      if (start >= lineValueEnd) return undefined;
      while (start < lineValueEnd) {
        const value = read(octets, start, lineValueEnd);
        if (value === undefined || values.length === listValuesMax) return undefined;
        values.push(value);
        start = headerLines.trimmedStart(octets, value.end + 1, lineValueEnd);
      }
    }
    return values;
  }

  #readNameAddr(id: HeaderId): NameAddr | ParseError {
    const line = this.#find(id);
    if (line < 0) return parseError("missing-header", 400, id === Header.From ? "Missing From" : "Missing To");
    const end = headerLines.valueEnd(this.octets, this.lines, line);
    const plain = this.#scan.hasFolds ? undefined : plainNameAddrAt(this.octets, headerLines.valueStart(this.lines, line), end);
    // From and To are no lists: a comma ends nothing.
    return plain?.end === end ? plain : parseNameAddr(this.#value(line));
  }

  #readCSeq(): CSeq | ParseError {
    const line = this.#find(Header.CSeq);
    if (line < 0) return parseError("cseq", 400, "Missing CSeq");
    const start = headerLines.valueStart(this.lines, line);
    return plainCSeqAt(this.octets, start, headerLines.valueEnd(this.octets, this.lines, line)) ?? parseCSeq(this.#value(line));
  }

  #readContacts(): NameAddr[] | "*" | ParseError {
    const plain = this.#plainValues(Header.Contact, plainNameAddrAt);
    if (plain !== undefined) return plain;
    const contacts = this.nameAddrs(Header.Contact);
    if (isParseError(contacts) || !contacts.some((contact) => contact.text === "*")) return contacts;
    return contacts.length === 1 ? "*" : parseError("contact", 400, "Contact * Beside Others");
  }
}

function parseCSeq(text: string): CSeq | ParseError {
  let i = 0;
  while (codeAt(text, i) >= 0x30 && codeAt(text, i) <= 0x39) i++;
  const number = decimalOf(text, 0, i);
  const methodStart = skipSpace(text, i);
  const method = text.slice(methodStart);
  if (number < 0 || methodStart === i || !isToken(method)) return parseError("cseq", 400, "Malformed CSeq", i);
  return { number, method };
}

/** Delta-seconds as Expires and the expires parameter hold them: malformed is 3600, too large is 2^32-1 (RFC 3261 20.10, 20.19). */
export function expiresOf(text: string): number {
  const seconds = decimalOf(text, 0, text.length);
  return seconds < 0 ? 3600 : Math.min(seconds, 2 ** 32 - 1);
}
