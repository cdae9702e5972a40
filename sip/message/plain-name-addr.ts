import { errorIn, isParseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { HTAB, SP, TOKEN, characterClasses } from "./characters.ts";
import type { NameAddr } from "./name-addr.ts";
import { stringOf } from "./octets.ts";
import { noParams, parseParams } from "./params.ts";
import type { Params } from "./params.ts";
import { endOfPlainQuoted, plainParam, plainParamsEnd, plainValueEnd, plainValueStart, readPlainParams } from "./plain-params.ts";
import { isPlainSipUriAt } from "./plain-uri.ts";
import { parseUri } from "./uri.ts";
import type { Uri } from "./uri.ts";

/** Offset of what is not there. */
const NONE = -1;

/**
 * Reads the name-addr that begins at `start` and ends at `end` or a comma: one in brackets, with parameters as nearly everybody writes them. Its
 * texts are made when they are asked for. Undefined is any other, malformed ones among them: `parseNameAddr` decides about those.
 */
export function plainNameAddrAt(octets: Uint8Array, start: number, end: number): PlainNameAddr | undefined {
  let i = start;
  if (i < end && octets[i] === 0x22) {
    i = endOfPlainQuoted(octets, i, end);
    if (i < 0) return undefined;
    while (i < end && isBlank(octets[i])) i++;
  } else {
    if (isBlank(octets[i])) return undefined;
    while (i < end && isOfName(octets[i] ?? 0)) i++;
  }
  if (i >= end || octets[i] !== 0x3c) return undefined;
  const open = i;
  while (i < end && octets[i] !== 0x3e) i++;
  if (i === end || i === open + 1) return undefined;
  const count = readPlainParams(octets, i + 1, end);
  if (count < 0) return undefined;
  const tag = count === 0 ? NONE : plainParam(octets, count, "tag");
  return new PlainNameAddr(
    octets,
    start,
    plainParamsEnd(),
    open,
    i,
    tag < 0 ? NONE : plainValueStart(tag),
    tag < 0 ? NONE : plainValueEnd(tag),
  );
}

function isBlank(octet: number | undefined): boolean {
  return octet === SP || octet === HTAB;
}

/** What a display name without quotes may hold. */
function isOfName(octet: number): boolean {
  return ((characterClasses[octet] ?? 0) & TOKEN) !== 0 || isBlank(octet) || octet >= 0x80;
}

/** Made by {@link plainNameAddrAt}. */
export class PlainNameAddr implements NameAddr {
  readonly #octets: Uint8Array;
  readonly #start: number;
  /** Offset behind the value. */
  readonly end: number;
  readonly #open: number;
  readonly #close: number;
  readonly #tagStart: number;
  readonly #tagEnd: number;
  #tag: string | undefined = undefined;
  #uri: string | undefined = undefined;
  #parsedUri: Uri | ParseError | undefined = undefined;

  constructor(octets: Uint8Array, start: number, end: number, open: number, close: number, tagStart: number, tagEnd: number) {
    this.#octets = octets;
    this.#start = start;
    this.end = end;
    this.#open = open;
    this.#close = close;
    this.#tagStart = tagStart;
    this.#tagEnd = tagEnd;
  }

  get displayName(): string {
    return stringOf(this.#octets, this.#start, this.#open).trimEnd();
  }

  get uri(): string {
    return (this.#uri ??= stringOf(this.#octets, this.#open + 1, this.#close));
  }

  get parsedUri(): Uri | ParseError {
    return (this.#parsedUri ??= parseUri(this.uri));
  }

  get uriError(): ParseError | undefined {
    return isPlainSipUriAt(this.#octets, this.#open + 1, this.#close) ? undefined : errorIn(this.parsedUri);
  }

  get tag(): string | undefined {
    return this.#tagStart === NONE ? undefined : (this.#tag ??= stringOf(this.#octets, this.#tagStart, this.#tagEnd));
  }

  get params(): Params {
    if (this.#close + 1 === this.end) return noParams;
    const params = parseParams(stringOf(this.#octets, this.#close + 1, this.end), 0);
    return isParseError(params) ? noParams : params;
  }

  get text(): string {
    return stringOf(this.#octets, this.#start, this.end);
  }

  /** What is plain needs none. */
  get mended(): undefined {
    return undefined;
  }
}
