import { errorIn, isParseError, parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { TOKEN, codeAt, isOf, skipSpace } from "./characters.ts";
import { endOfQuoted, parseParams } from "./params.ts";
import type { Params } from "./params.ts";
import { parseUri } from "./uri.ts";
import type { Uri } from "./uri.ts";

/** One value of From, To, Contact, Route, Record-Route, Path, ... (RFC 3261 25.1 name-addr / addr-spec with parameters). */
export type NameAddr = {
  /** As it stands: a quoted one keeps its quotes; `""` when there is none. */
  readonly displayName: string;
  /** The URI as it stands. */
  readonly uri: string;
  /** The URI, read when first asked for. */
  readonly parsedUri: Uri | ParseError;
  /** What is wrong with the URI; it is read into its parts only where that is not plain to see. */
  readonly uriError: ParseError | undefined;
  /** The `tag` parameter. */
  readonly tag: string | undefined;
  /** Parameters of the header, not of the URI: without brackets all of them are (RFC 3261 20). */
  readonly params: Params;
  /** The value as it stands in the message, unfolded. */
  readonly text: string;
  /** The value as it should have been written, where it was read leniently: what strict receivers are sent. */
  readonly mended: string | undefined;
};

class TextNameAddr implements NameAddr {
  readonly displayName: string;
  readonly uri: string;
  readonly params: Params;
  readonly text: string;
  readonly mended: string | undefined;
  #parsedUri: Uri | ParseError | undefined;

  constructor(displayName: string, uri: string, params: Params, text: string) {
    this.displayName = displayName;
    this.uri = uri;
    this.params = params;
    this.text = text;
    // Empty quotes before a bracket are a display name as any other.
    this.mended = displayName.length > 2 && displayName.startsWith('""') ? mendedName(displayName, text) : undefined;
  }

  get parsedUri(): Uri | ParseError {
    return (this.#parsedUri ??= parseUri(this.uri));
  }

  get uriError(): ParseError | undefined {
    return errorIn(this.parsedUri);
  }

  get tag(): string | undefined {
    return this.params.get("tag");
  }
}

/**
 * Reads `[ display-name ] "<" URI ">" params` or `URI params`. The URI itself is not looked into.
 * A display name without quotes must be tokens; a URI with a comma, semicolon or question mark must stand in brackets.
 */
export function parseNameAddr(text: string): NameAddr | ParseError {
  const start = skipSpace(text, 0);
  const open = openingBracket(text, start);
  if (open === -2) return parseError("display-name", 400, "Malformed Display Name", start);
  if (open < 0) return parseAddrSpec(text, start);
  const close = text.indexOf(">", open);
  if (close < 0) return parseError("name-addr", 400, "Unclosed Bracket", open);
  if (close === open + 1) return parseError("name-addr", 400, "Empty URI", open);
  const params = parseParams(text, close + 1);
  if (isParseError(params)) return params;
  return new TextNameAddr(text.slice(start, open).trimEnd(), text.slice(open + 1, close), params, text);
}

/** `""name"" <...>` as `"name" <...>`. */
function mendedName(displayName: string, text: string): string {
  const start = text.indexOf(displayName);
  return `${text.slice(0, start)}${displayName.slice(1, -1)}${text.slice(start + displayName.length)}`;
}

/** Offset of `<` behind a well-formed display name; -1 when the value has no bracket, -2 when what stands before it is no display name. */
function openingBracket(text: string, start: number): number {
  if (codeAt(text, start) === 0x22) {
    const end = endOfQuoted(text, start);
    if (end < 0) return -2;
    const open = skipSpace(text, end === start + 2 ? endOfTwiceQuoted(text, start) : end);
    return codeAt(text, open) === 0x3c ? open : -2;
  }
  let i = start;
  for (;;) {
    const code = codeAt(text, i);
    if (code === 0x3c) return i;
    if (!isOf(code, TOKEN) && code !== 0x20 && code !== 0x09 && !(code >= 0x80)) break;
    i++;
  }
  // No display name of tokens: an addr-spec, unless a bracket follows where none can.
  return codeAt(text, i) !== 0x3a && text.includes("<", i) ? -2 : -1;
}

/**
 * Offset behind a display name in two pairs of quotes, `""name""`, as some phones write it; behind the first pair when it is none. Nothing may
 * stand in it that ends a name elsewhere: all who read it must see the same URI.
 */
function endOfTwiceQuoted(text: string, start: number): number {
  let i = start + 2;
  while (i < text.length && !'"\\<>,;'.includes(text.charAt(i))) i++;
  return text.startsWith('""', i) ? i + 2 : start + 2;
}

function parseAddrSpec(text: string, start: number): NameAddr | ParseError {
  let end = start;
  while (end < text.length) {
    const code = codeAt(text, end);
    if (code === 0x3b || code === 0x20 || code === 0x09) break;
    if (code === 0x2c || code === 0x3f || code === 0x3c || code === 0x3e || code === 0x22) {
      return parseError("addr-spec", 400, "URI Must Stand in Brackets", end);
    }
    end++;
  }
  if (end === start) return parseError("name-addr", 400, "Empty URI", start);
  const params = parseParams(text, end);
  if (isParseError(params)) return params;
  return new TextNameAddr("", text.slice(start, end), params, text);
}
