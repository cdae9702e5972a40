import { parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { headerOctetsMax, headersMax, startLineOctetsMax } from "../limits.ts";
import { CR, DEL, HTAB, LF, SP, TOKEN, characterClasses } from "./characters.ts";
import { FOLDED, STRIDE, trimmedEnd } from "./header-lines.ts";
import { Header, headerIdAt, isIdentityHeader, isSingleHeader } from "./header-names.ts";
import { octetLengthOf, writeText } from "./octets.ts";

const NO_LENGTH = -1;
const BAD_LENGTH = -2;
const NO_QUOTES = -1;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** The lines of the message that is being read: an array that has grown already. What a scan keeps is a copy of the right size. */
const scratch: number[] = [];

/**
 * One pass over a message's start line and headers: it finds where things are and nothing of what they mean. The body's octets are not looked at, no
 * string is made. What is wrong is noted once, the first of it, and the scan goes on. The error has to be answered with the Via, From, To, Call-ID
 * and CSeq of the same message (RFC 3261 8.2.6).
 */
export class Scan {
  readonly octets: Uint8Array;
  readonly end: number;
  /** The first octet of the start line: behind any CRLF that stood before it (RFC 3261 7.5). */
  start: number;
  isRequest = true;
  /** The start line's parts as offsets. Request: method up to `firstEnd`, then the URI. Response: the reason phrase. */
  firstEnd = 0;
  secondStart = 0;
  secondEnd = 0;
  status = 0;
  /** See header-lines.ts. */
  lines: readonly number[] = [];
  bodyStart = 0;
  /** Below 0 when there is none, or none that can be relied on. */
  contentLength = NO_LENGTH;
  hasFolds = false;
  /** One bit for each header that is there, of those with ids below 32. */
  present = 0;
  /** One of them says who somebody is: see isIdentityHeader. */
  hasIdentityHeaders = false;
  /** The first line of a header that may stand once only and stands there again; -1: none. */
  repeatedLine = -1;
  error: ParseError | undefined = undefined;

  #at = 0;
  /** How far the quoted strings of the present line have been followed, and whether that is in one. */
  #quotesTo = NO_QUOTES;
  #isQuoted = false;
  /** How many header lines are in {@link scratch}. */
  #lineCount = 0;

  /** An empty one: see {@link read} and {@link withText}. */
  private constructor(octets: Uint8Array, start: number, end: number) {
    this.octets = octets;
    this.end = end;
    this.start = start;
  }

  static read(octets: Uint8Array, start: number, end: number): Scan {
    const scan = new Scan(octets, start, end);
    while (scan.#isCrlfAt(scan.start)) scan.start += 2;
    scan.#startLine();
    scan.#lineCount = 0;
    while (scan.#headerLine());
    scan.lines = scratch.slice(0, scan.#lineCount * STRIDE);
    return scan;
  }

  /**
   * The same message, up to `end`, in octets of its own and with `text` instead of those from `from` to `to`. Those are all of one header value, so
   * nothing else moves but by its length.
   */
  withText(from: number, to: number, text: string, end: number): Scan {
    const { start } = this;
    const length = octetLengthOf(text);
    const octets = new Uint8Array(end - start - (to - from) + length);
    octets.set(this.octets.subarray(start, from));
    writeText(octets, from - start, text);
    octets.set(this.octets.subarray(to, end), from - start + length);
    const scan = new Scan(octets, 0, octets.length);
    const moved = (at: number): number => (at <= from ? at : at + length - (to - from)) - start;
    const lines = this.lines.slice();
    for (let i = 0; i < lines.length; i += STRIDE) {
      lines[i + 1] = moved(lines[i + 1] ?? 0);
      lines[i + 2] = moved(lines[i + 2] ?? 0);
    }
    scan.lines = lines;
    scan.isRequest = this.isRequest;
    scan.firstEnd = moved(this.firstEnd);
    scan.secondStart = moved(this.secondStart);
    scan.secondEnd = moved(this.secondEnd);
    scan.status = this.status;
    scan.bodyStart = moved(this.bodyStart);
    scan.contentLength = this.contentLength;
    scan.hasFolds = this.hasFolds;
    scan.present = this.present;
    scan.hasIdentityHeaders = this.hasIdentityHeaders;
    scan.repeatedLine = this.repeatedLine;
    scan.error = this.error;
    return scan;
  }

  #fail(error: string, status: number, reason: string, offset: number): void {
    this.error ??= parseError(error, status, reason, offset);
  }

  #isCrlfAt(at: number): boolean {
    return at + 1 < this.end && this.octets[at] === CR && this.octets[at + 1] === LF;
  }

  #startLine(): void {
    const { octets, end, start } = this;
    let lineEnd = start;
    while (lineEnd < end && (((octets[lineEnd] ?? 0) + 1) & 0x7f) > SP) lineEnd++;
    if (lineEnd < end && octets[lineEnd] !== CR) lineEnd = this.#endOfText(lineEnd);
    this.#at = lineEnd;
    if (this.#isCrlfAt(lineEnd)) this.#at = lineEnd + 2;
    else this.#fail("start-line", 400, "Start Line Without CRLF", lineEnd);
    if (lineEnd - start > startLineOctetsMax) this.#fail("start-line-max", 414, "Start Line Too Long", start);
    this.isRequest = !isVersionAt(octets, start, lineEnd);
    if (this.isRequest) this.#requestLine(lineEnd);
    else this.#statusLine(lineEnd);
  }

  /** `Method SP Request-URI SP SIP-Version` (RFC 3261 7.1): one space each, none at the end. */
  #requestLine(lineEnd: number): void {
    const { octets, start } = this;
    let i = start;
    while (i < lineEnd && isTokenOctet(octets[i])) i++;
    this.firstEnd = i;
    if (i === start || octets[i] !== SP) this.#fail("method", 400, "Malformed Request Line", i);
    let last = lineEnd - 1;
    while (last > i && octets[last] !== SP) last--;
    this.secondStart = i < lineEnd ? i + 1 : i;
    this.secondEnd = last > i ? last : lineEnd;
    if (last <= i) {
      this.#fail("request-line", 400, "Malformed Request Line", i);
      return;
    }
    for (i = this.secondStart; i < last; i++) {
      if ((octets[i] ?? 0) <= SP) this.#fail("request-uri", 400, "White Space in Request-URI", i);
    }
    if (last === this.secondStart) this.#fail("request-uri", 400, "Empty Request-URI", last);
    if (isVersionAt(octets, last + 1, lineEnd)) {
      if (!isVersion2At(octets, last + 1, lineEnd)) this.#fail("version", 505, "Version Not Supported", last + 1);
    } else this.#fail("version", 400, "Malformed SIP Version", last + 1);
  }

  /** `SIP-Version SP Status-Code SP Reason-Phrase` (RFC 3261 7.2). The second space may be missing: nothing is lost without it. */
  #statusLine(lineEnd: number): void {
    const { octets, start } = this;
    let i = start;
    while (i < lineEnd && octets[i] !== SP) i++;
    if (!isVersion2At(octets, start, i)) this.#fail("version", 505, "Version Not Supported", start);
    this.firstEnd = i;
    const statusStart = i + 1;
    for (i = statusStart; i < lineEnd && i < statusStart + 3; i++) {
      const digit = (octets[i] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) break;
      this.status = this.status * 10 + digit;
    }
    const isWhole = i === statusStart + 3 && this.status >= 100 && this.status <= 699;
    if (!isWhole || (i < lineEnd && octets[i] !== SP)) this.#fail("status", 400, "Malformed Status Code", statusStart);
    this.secondStart = i < lineEnd ? i + 1 : lineEnd;
    this.secondEnd = lineEnd;
  }

  /** Notes one header line; false when there are no more. */
  #headerLine(): boolean {
    const { octets, end } = this;
    const lineStart = this.#at;
    if (this.#isCrlfAt(lineStart)) return this.#endOfHeaders(lineStart, lineStart + 2);
    let i = lineStart;
    while (i < end && octets[i] !== 0x3a && (octets[i] ?? 0) > SP) i++;
    // A name that is known is a token; any other is looked at once more.
    let id = i < end && octets[i] === 0x3a ? headerIdAt(octets, lineStart, i) : 0;
    if (id === 0) {
      i = lineStart;
      while (i < end && isTokenOctet(octets[i])) i++;
      const nameEnd = i;
      while (i < end && (octets[i] === SP || octets[i] === HTAB)) i++;
      if (i < end && octets[i] === 0x3a && nameEnd > lineStart) id = headerIdAt(octets, lineStart, nameEnd);
      else {
        if (lineStart < end) this.#fail("header-name", 400, "Malformed Header Name", lineStart);
        i--;
      }
    }
    i++;
    this.#quotesTo = hasQuotedNames(id) ? lineStart : NO_QUOTES;
    this.#isQuoted = false;
    let valueStart = -1;
    let folded = 0;
    for (;;) {
      if (valueStart < 0) {
        while (i < end && (octets[i] === SP || octets[i] === HTAB)) i++;
        if (octets[i] !== CR) valueStart = i;
      }
      // The loop of #endOfText, here because a call for each line costs a quarter of the scan.
      while (i < end && (((octets[i] ?? 0) + 1) & 0x7f) > SP) i++;
      if (i < end && octets[i] !== CR) i = this.#endOfText(i);
      if (i >= end) {
        this.#fail("headers-end", 400, "Headers Without End", lineStart);
        return this.#endOfHeaders(lineStart, end);
      }
      if (this.#isCrlfAt(i)) {
        const next = i + 2 < end ? octets[i + 2] : 0;
        if (next !== SP && next !== HTAB) break;
        folded = FOLDED;
        this.hasFolds = true;
        i += 3;
      } else {
        this.#fail("line-end", 400, "CR or LF Alone", i);
        i++;
      }
    }
    if (i - lineStart > headerOctetsMax) this.#fail("header-max", 400, "Header Too Long", lineStart);
    if (this.#lineCount === headersMax) {
      this.#fail("headers-max", 400, "Too Many Headers", lineStart);
      return this.#endOfHeaders(lineStart, end);
    }
    if (valueStart < 0) valueStart = i;
    if (id < 32) this.#note(id);
    else if (isIdentityHeader(id)) this.hasIdentityHeaders = true;
    this.#push(id | folded, lineStart, valueStart);
    if (id === Header.ContentLength) this.#contentLength(valueStart, i);
    this.#at = i + 2;
    return true;
  }

  /**
   * Offset of the CR or LF, or of the end, that ends the text at `at`. No control octet stands in a header or a start line but the tab, and what a
   * backslash quotes in a display name or parameter (RFC 3261 25.1). Some receivers end a text there, and would read another message than we do.
   */
  #endOfText(at: number): number {
    const { octets, end } = this;
    let i = at;
    for (;;) {
      // One comparison an octet: nearly all are letters. 0x7f and 0xff become 0, what is below a space stays there, as do some above ASCII.
      while (i < end && (((octets[i] ?? 0) + 1) & 0x7f) > SP) i++;
      const octet = octets[i] ?? 0;
      if (i >= end || octet === CR || octet === LF) return i;
      const isControl = (octet < SP && octet !== HTAB) || octet === DEL;
      if (isControl && !this.#isQuotedPair(i)) this.#fail("control", 400, "Control Character", i);
      i++;
    }
  }

  /** Whether the octet at `at` is the second one of a quoted-pair (RFC 3261 25.1). Quotes are followed once, and only as far as somebody asks. */
  #isQuotedPair(at: number): boolean {
    const { octets } = this;
    if (this.#quotesTo === NO_QUOTES || octets[at - 1] !== BACKSLASH) return false;
    let i = this.#quotesTo;
    for (; i < at; i++) {
      if (octets[i] === QUOTE) this.#isQuoted = !this.#isQuoted;
      else if (this.#isQuoted && octets[i] === BACKSLASH) i++;
    }
    this.#quotesTo = i;
    return this.#isQuoted && i === at + 1;
  }

  /** That a header is on the line that comes next. */
  #note(id: number): void {
    const bit = 1 << id;
    if ((this.present & bit) !== 0 && this.repeatedLine < 0 && isSingleHeader(id)) this.repeatedLine = this.#lineCount;
    this.present |= bit;
  }

  #contentLength(start: number, lineEnd: number): void {
    const valueEnd = trimmedEnd(this.octets, start, lineEnd);
    let length = valueEnd > start ? 0 : -1;
    for (let i = start; i < valueEnd; i++) {
      const digit = (this.octets[i] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) {
        length = -1;
        break;
      }
      length = Math.min(length * 10 + digit, Number.MAX_SAFE_INTEGER);
    }
    if (length < 0) this.#fail("content-length", 400, "Malformed Content-Length", start);
    if (this.contentLength !== NO_LENGTH) {
      this.#fail("content-length", 400, "Repeated Content-Length", start);
      length = -1;
    }
    this.contentLength = length < 0 ? BAD_LENGTH : length;
  }

  #push(id: number, lineStart: number, valueStart: number): void {
    const at = this.#lineCount++ * STRIDE;
    scratch[at] = id;
    scratch[at + 1] = lineStart;
    scratch[at + 2] = valueStart;
  }

  /** The sentinel: where the last line ends. */
  #endOfHeaders(at: number, bodyStart: number): false {
    this.#push(0, at, at);
    this.bodyStart = bodyStart;
    return false;
  }
}

/** Headers of name-addrs: the only ones whose quoted strings are read as such here. */
function hasQuotedNames(id: number): boolean {
  return id === Header.From || id === Header.To || id === Header.Contact;
}

function isTokenOctet(octet: number | undefined): boolean {
  return ((characterClasses[octet ?? 0] ?? 0) & TOKEN) !== 0;
}

/** True for `SIP/` in any case: RFC 3261 7.1 makes the version case-insensitive, and no method can hold the slash. */
function isVersionAt(octets: Uint8Array, start: number, end: number): boolean {
  return (
    end - start >= 4 &&
    ((octets[start] ?? 0) | 0x20) === 0x73 &&
    ((octets[start + 1] ?? 0) | 0x20) === 0x69 &&
    ((octets[start + 2] ?? 0) | 0x20) === 0x70 &&
    octets[start + 3] === 0x2f
  );
}

function isVersion2At(octets: Uint8Array, start: number, end: number): boolean {
  return end - start === 7 && octets[start + 4] === 0x32 && octets[start + 5] === 0x2e && octets[start + 6] === 0x30;
}
