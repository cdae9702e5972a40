import { Specimen } from "../specimen.ts";
import * as headerLines from "./header-lines.ts";
import { canonicalHeaderName } from "./header-names.ts";
import type { HeaderId } from "./header-names.ts";
import { octetLengthOf, writeText } from "./octets.ts";
import type { SipMessage } from "./sip-message.ts";

/** What an edit does to the values of one header. */
type HeaderEdit = {
  /** New lines before the first one; the last of these is the topmost. */
  readonly prepended: string[];
  /** New lines behind the last one. */
  readonly appended: string[];
  /** How many of the message's own values go, from the first. */
  removed: number;
  /** What stands in place of the first own value that stays. */
  replacement: string | undefined;
};

/** Octets of the message from `start` to `end` become `text`. */
type Splice = { readonly start: number; readonly end: number; readonly text: string };

const specimen = new Specimen();

/**
 * Changes to a message as splices: the octets they do not touch leave exactly as they came, folds, compact names, odd spaces and all.
 *
 * Calls take effect in their order, as if each changed the message: after `prepend(Via, x)`, `removeFirst(Via)` takes `x` away again.
 * The message itself never changes. CR and LF in given text become spaces, so that no value can smuggle in a header.
 */
export class MessageEdit {
  readonly #message: SipMessage;
  readonly #edits = new Map<HeaderId, HeaderEdit>();
  #requestUri: string | undefined;

  constructor(message: SipMessage) {
    this.#message = message;
    specimen.keep(this);
  }

  /** A new Request-URI; nothing in a response. */
  setRequestUri(text: string): this {
    this.#requestUri = oneLine(text);
    return this;
  }

  /** A new line before the first of that header, or at the top of the headers when there is none. The last one prepended is topmost. */
  prepend(id: HeaderId, value: string): this {
    this.#edit(id).prepended.push(oneLine(value));
    return this;
  }

  /** A new line behind the last of that header, or at the end of the headers when there is none. */
  append(id: HeaderId, value: string): this {
    this.#edit(id).appended.push(oneLine(value));
    return this;
  }

  /** Another first value: of a comma list that value only. Nothing happens when the header is absent. */
  replaceFirst(id: HeaderId, value: string): this {
    const edit = this.#edit(id);
    if (edit.prepended.length > 0) edit.prepended[edit.prepended.length - 1] = oneLine(value);
    else if (edit.removed < this.#ownCount(id)) edit.replacement = oneLine(value);
    else if (edit.appended.length > 0) edit.appended[0] = oneLine(value);
    return this;
  }

  /** Takes the first values away; a line goes with its last value. Fewer than `count`: all of them. */
  removeFirst(id: HeaderId, count = 1): this {
    const edit = this.#edit(id);
    const ownCount = this.#ownCount(id);
    for (let i = 0; i < count; i++) {
      if (edit.prepended.length > 0) edit.prepended.pop();
      else if (edit.removed < ownCount) {
        edit.removed++;
        edit.replacement = undefined;
      } else if (edit.appended.length > 0) edit.appended.shift();
      else break;
    }
    return this;
  }

  removeAll(id: HeaderId): this {
    const edit = this.#edit(id);
    edit.prepended.length = 0;
    edit.appended.length = 0;
    edit.removed = Number.MAX_SAFE_INTEGER;
    edit.replacement = undefined;
    return this;
  }

  /** One line with this value, whatever was there: where the header's first line was, else at the end of the headers. */
  set(id: HeaderId, value: string): this {
    this.removeAll(id);
    const list = this.#message.has(id) ? this.#edit(id).prepended : this.#edit(id).appended;
    list.push(oneLine(value));
    return this;
  }

  /** The edited message, in one allocation. Content-Length is as it was: the body cannot be edited. */
  serialize(): Uint8Array {
    const { octets, start, end } = this.#message;
    const splices = this.#splices();
    let length = end - start;
    for (const splice of splices) length += octetLengthOf(splice.text) - (splice.end - splice.start);
    const target = new Uint8Array(length);
    let from = start;
    let to = 0;
    for (const splice of splices) {
      target.set(octets.subarray(from, splice.start), to);
      to = writeText(target, to + splice.start - from, splice.text);
      from = splice.end;
    }
    target.set(octets.subarray(from, end), to);
    return target;
  }

  #edit(id: HeaderId): HeaderEdit {
    let edit = this.#edits.get(id);
    if (edit === undefined) {
      edit = { prepended: [], appended: [], removed: 0, replacement: undefined };
      this.#edits.set(id, edit);
    }
    return edit;
  }

  #ownCount(id: HeaderId): number {
    return this.#message.valueRanges(id).length / 2;
  }

  /** Ordered by offset, none overlapping another. */
  #splices(): Splice[] {
    const message = this.#message;
    const splices: Splice[] = [];
    if (this.#requestUri !== undefined && message.isRequest) {
      const [start, end] = message.requestUriRange;
      splices.push({ start, end, text: this.#requestUri });
    }
    const top = headerLines.lineStart(message.lines, 0);
    const bottom = headerLines.lineStart(message.lines, headerLines.lineCount(message.lines));
    // Absent headers go to the top in reverse, so that the header first prepended to stays below the others.
    for (const [id, edit] of [...this.#edits].toReversed()) {
      if (!message.has(id) && edit.prepended.length > 0) splices.push({ start: top, end: top, text: prependedLines(id, edit) });
    }
    for (const [id, edit] of this.#edits) {
      if (message.has(id)) pushLineSplices(message, id, edit, splices);
      else if (edit.appended.length > 0) splices.push({ start: bottom, end: bottom, text: appendedLines(id, edit) });
    }
    return splices.toSorted((a, b) => a.start - b.start || a.end - b.end);
  }
}

/** The splices of a header that the message has. */
function pushLineSplices(message: SipMessage, id: HeaderId, edit: HeaderEdit, splices: Splice[]): void {
  const { lines } = message;
  const ranges = edit.removed > 0 || edit.replacement !== undefined ? message.valueRanges(id) : [];
  let value = 0;
  let last = -1;
  for (let line = 0; line < headerLines.lineCount(lines); line++) {
    if (headerLines.lineId(lines, line) !== id) continue;
    const start = headerLines.lineStart(lines, line);
    const end = headerLines.lineEnd(lines, line);
    if (last < 0 && edit.prepended.length > 0) splices.push({ start, end: start, text: prependedLines(id, edit) });
    last = line;
    // The values of this line, and how many of them stay.
    const first = value;
    while (value * 2 < ranges.length && (ranges[value * 2] ?? 0) < end) value++;
    if (first < edit.removed && value <= edit.removed) {
      splices.push({ start, end, text: "" });
      continue;
    }
    const kept = Math.max(first, edit.removed);
    const keptStart = ranges[kept * 2] ?? end;
    const isReplaced = edit.replacement !== undefined && kept === edit.removed && kept < value;
    if (isReplaced || kept > first) {
      splices.push({
        start: headerLines.valueStart(lines, line),
        end: isReplaced ? (ranges[kept * 2 + 1] ?? end) : keptStart,
        text: isReplaced ? (edit.replacement ?? "") : "",
      });
    }
  }
  if (edit.appended.length > 0) {
    const at = headerLines.lineEnd(lines, last);
    splices.push({ start: at, end: at, text: appendedLines(id, edit) });
  }
}

function prependedLines(id: HeaderId, edit: HeaderEdit): string {
  return edit.prepended
    .toReversed()
    .map((value) => headerLine(id, value))
    .join("");
}

function appendedLines(id: HeaderId, edit: HeaderEdit): string {
  return edit.appended.map((value) => headerLine(id, value)).join("");
}

function headerLine(id: HeaderId, value: string): string {
  return `${canonicalHeaderName(id)}: ${value}\r\n`;
}

/** The text without CR and LF: no value may begin a line of its own. */
export function oneLine(text: string): string {
  return text.includes("\r") || text.includes("\n") ? text.replace(/[\r\n]+/g, " ") : text;
}
