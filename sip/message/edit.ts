import { Specimen } from "../specimen.ts";
import * as headerLines from "./header-lines.ts";
import { canonicalHeaderName } from "./header-names.ts";
import type { HeaderId } from "./header-names.ts";
import { OctetWriter } from "./octet-writer.ts";
import type { SipMessage } from "./sip-message.ts";

/** What an edit does to the values of one header. */
type HeaderEdit = {
  readonly id: HeaderId;
  /** New lines before the first one; the last of these is the topmost. */
  prepended: readonly string[];
  /** New lines behind the last one. */
  appended: readonly string[];
  /** How many of the message's own values go, from the first. */
  removed: number;
  /** What stands in place of the first own value that stays. */
  replacement: string | undefined;
};

/** Octets of the message from `start` to `end` become `text`. */
type Splice = { readonly start: number; readonly end: number; readonly text: string };

/** Most headers have one kind of change, and one line of it. */
const noLines: readonly string[] = [];
const specimen = new Specimen();
const writer = new OctetWriter();

/**
 * Changes to a message as splices: the octets they do not touch leave exactly as they came, folds, compact names, odd spaces and all.
 *
 * Calls take effect in their order, as if each changed the message: after `prepend(Via, x)`, `removeFirst(Via)` takes `x` away again.
 * The message itself never changes. CR and LF in given text become spaces, so that no value can smuggle in a header.
 */
export class MessageEdit {
  readonly #message: SipMessage;
  /** In the order in which their headers were first named: a handful. */
  readonly #edits: HeaderEdit[] = [];
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
    const edit = this.#edit(id);
    edit.prepended = withLine(edit.prepended, value);
    return this;
  }

  /** A new line behind the last of that header, or at the end of the headers when there is none. */
  append(id: HeaderId, value: string): this {
    const edit = this.#edit(id);
    edit.appended = withLine(edit.appended, value);
    return this;
  }

  /** Another first value: of a comma list that value only. Nothing happens when the header is absent. */
  replaceFirst(id: HeaderId, value: string): this {
    const edit = this.#edit(id);
    if (edit.prepended.length > 0) edit.prepended = withLine(edit.prepended.slice(0, -1), value);
    else if (edit.removed < this.#ownCount(id)) edit.replacement = oneLine(value);
    else if (edit.appended.length > 0) edit.appended = edit.appended.with(0, oneLine(value));
    return this;
  }

  /** Takes the first values away; a line goes with its last value. Fewer than `count`: all of them. */
  removeFirst(id: HeaderId, count = 1): this {
    const edit = this.#edit(id);
    const ownCount = this.#ownCount(id);
    for (let i = 0; i < count; i++) {
      if (edit.prepended.length > 0) edit.prepended = edit.prepended.slice(0, -1);
      else if (edit.removed < ownCount) {
        edit.removed++;
        edit.replacement = undefined;
      } else if (edit.appended.length > 0) edit.appended = edit.appended.slice(1);
      else break;
    }
    return this;
  }

  removeAll(id: HeaderId): this {
    const edit = this.#edit(id);
    edit.prepended = noLines;
    edit.appended = noLines;
    edit.removed = Number.MAX_SAFE_INTEGER;
    edit.replacement = undefined;
    return this;
  }

  /** One line with this value, whatever was there: where the header's first line was, else at the end of the headers. */
  set(id: HeaderId, value: string): this {
    this.removeAll(id);
    return this.#message.has(id) ? this.prepend(id, value) : this.append(id, value);
  }

  /** The edited message, in one allocation. Content-Length is as it was: the body cannot be edited. */
  serialize(): Uint8Array {
    const { octets, start, end } = this.#message;
    let from = start;
    writer.begin();
    for (const splice of this.#splices()) {
      writer.octets(octets, from, splice.start).text(splice.text);
      from = splice.end;
    }
    return writer.octets(octets, from, end).take();
  }

  #edit(id: HeaderId): HeaderEdit {
    for (const edit of this.#edits) if (edit.id === id) return edit;
    const edit: HeaderEdit = { id, prepended: noLines, appended: noLines, removed: 0, replacement: undefined };
    this.#edits.push(edit);
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
    for (let i = this.#edits.length - 1; i >= 0; i--) {
      const edit = this.#edits[i];
      if (edit === undefined || edit.prepended.length === 0 || message.has(edit.id)) continue;
      splices.push({ start: top, end: top, text: prependedLines(edit) });
    }
    for (const edit of this.#edits) {
      if (message.has(edit.id)) pushLineSplices(message, edit, splices);
      else if (edit.appended.length > 0) splices.push({ start: bottom, end: bottom, text: appendedLines(edit) });
    }
    return inOrder(splices);
  }
}

function withLine(lines: readonly string[], value: string): readonly string[] {
  return lines.length === 0 ? [oneLine(value)] : [...lines, oneLine(value)];
}

/** Sorts splices by where they are, in place: there are few, and most are in order. */
function inOrder(splices: Splice[]): Splice[] {
  for (let i = 1; i < splices.length; i++) {
    const splice = splices[i];
    if (splice === undefined) break;
    let at = i;
    for (let before = splices[at - 1]; before !== undefined && isBehind(before, splice); before = splices[at - 1]) {
      splices[at] = before;
      at--;
    }
    splices[at] = splice;
  }
  return splices;
}

function isBehind(one: Splice, other: Splice): boolean {
  return one.start > other.start || (one.start === other.start && one.end > other.end);
}

/** The splices of a header that the message has. */
function pushLineSplices(message: SipMessage, edit: HeaderEdit, splices: Splice[]): void {
  const { lines } = message;
  const { id } = edit;
  const ranges = edit.removed > 0 || edit.replacement !== undefined ? message.valueRanges(id) : [];
  let value = 0;
  let last = -1;
  for (let line = 0; line < headerLines.lineCount(lines); line++) {
    if (headerLines.lineId(lines, line) !== id) continue;
    const start = headerLines.lineStart(lines, line);
    const end = headerLines.lineEnd(lines, line);
    if (last < 0 && edit.prepended.length > 0) splices.push({ start, end: start, text: prependedLines(edit) });
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
    splices.push({ start: at, end: at, text: appendedLines(edit) });
  }
}

function prependedLines({ id, prepended }: HeaderEdit): string {
  let text = "";
  for (const value of prepended) text = headerLine(id, value) + text;
  return text;
}

function appendedLines({ id, appended }: HeaderEdit): string {
  let text = "";
  for (const value of appended) text += headerLine(id, value);
  return text;
}

function headerLine(id: HeaderId, value: string): string {
  return `${canonicalHeaderName(id)}: ${value}\r\n`;
}

/** The text without CR and LF: no value may begin a line of its own. */
export function oneLine(text: string): string {
  return text.includes("\r") || text.includes("\n") ? text.replace(/[\r\n]+/g, " ") : text;
}
