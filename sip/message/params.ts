import { listValuesMax } from "../limits.ts";
import { parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { PARAM_VALUE, TOKEN, codeAt, isOf, skipSpace } from "./characters.ts";

/**
 * Parameters of a header value or a URI, in their order. Names are lower-case (RFC 3261 7.3.1: they are case-insensitive). Values are raw: a quoted
 * one keeps its quotes (see {@link unquote}), an escaped one its escapes. Immutable.
 */
export class Params {
  /** Name, value, name, value, ...: one array and not two, most messages have a dozen of these. */
  readonly #pairs: readonly string[];

  constructor(pairs: readonly string[]) {
    this.#pairs = pairs;
  }

  get size(): number {
    return this.#pairs.length / 2;
  }

  /** The value of a parameter: `""` when it stands without one, undefined when it is absent. The name is lower-case. */
  get(name: string): string | undefined {
    const i = indexOfName(this.#pairs, name);
    return i < 0 ? undefined : this.#pairs[i + 1];
  }

  has(name: string): boolean {
    return indexOfName(this.#pairs, name) >= 0;
  }

  entries(): [name: string, value: string][] {
    const entries: [string, string][] = [];
    for (let i = 0; i < this.#pairs.length; i += 2) entries.push([this.#pairs[i] ?? "", this.#pairs[i + 1] ?? ""]);
    return entries;
  }

  /** These parameters with one changed in place, or added at the end. */
  with(name: string, value = ""): Params {
    const i = indexOfName(this.#pairs, name);
    return new Params(i < 0 ? [...this.#pairs, name, value] : this.#pairs.with(i + 1, value));
  }

  /** These parameters without one. */
  without(name: string): Params {
    const i = indexOfName(this.#pairs, name);
    return i < 0 ? this : new Params(this.#pairs.toSpliced(i, 2));
  }

  /** `;name=value;name`, as in a message. */
  serialize(): string {
    let text = "";
    for (const [name, value] of this.entries()) text += value === "" ? `;${name}` : `;${name}=${value}`;
    return text;
  }
}

/** Index of a name in [name, value, ...], -1 when it is absent. */
export function indexOfName(pairs: readonly string[], name: string): number {
  for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === name) return i;
  return -1;
}

/** No parameters. */
export const noParams: Params = new Params([]);

/**
 * `*( SEMI name [ EQUAL value ] )` from an offset to the end of the text: the parameters of a header value (RFC 3261 25.1 generic-param).
 * White space may stand around `;` and `=`. An empty parameter, one that stands twice (7.3.1) or anything else in between is an error 400.
 */
export function parseParams(text: string, at: number): Params | ParseError {
  let i = skipSpace(text, at);
  if (i >= text.length) return noParams;
  const pairs: string[] = [];
  while (i < text.length) {
    if (codeAt(text, i) !== 0x3b) return parseError("params", 400, "Malformed Parameters", i);
    const nameStart = skipSpace(text, i + 1);
    i = nameStart;
    while (isOf(codeAt(text, i), TOKEN)) i++;
    if (i === nameStart) return parseError("params", 400, "Malformed Parameters", i);
    const name = text.slice(nameStart, i).toLowerCase();
    i = skipSpace(text, i);
    let value = "";
    if (codeAt(text, i) === 0x3d) {
      const valueStart = skipSpace(text, i + 1);
      const valueEnd = endOfParamValue(text, valueStart);
      if (valueEnd < 0) return parseError("params", 400, "Malformed Parameter Value", valueStart);
      value = text.slice(valueStart, valueEnd);
      i = skipSpace(text, valueEnd);
    }
    if (indexOfName(pairs, name) >= 0) return parseError("duplicate-param", 400, "Repeated Parameter", nameStart);
    if (pairs.length === listValuesMax * 2) return parseError("params-max", 400, "Too Many Parameters", nameStart);
    pairs.push(name, value);
  }
  return new Params(pairs);
}

/** Offset behind a parameter value, -1 when there is none or its quotes do not close. */
function endOfParamValue(text: string, at: number): number {
  if (codeAt(text, at) === 0x22) return endOfQuoted(text, at);
  let i = at;
  while (isOf(codeAt(text, i), PARAM_VALUE)) i++;
  return i === at ? -1 : i;
}

/** Offset behind the quoted string that begins at `at`, -1 when it does not close (RFC 3261 25.1 quoted-string, quoted-pair). */
export function endOfQuoted(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const code = codeAt(text, i);
    if (code === 0x5c) i++;
    else if (code === 0x22) return i + 1;
  }
  return -1;
}

/** What a quoted string means: without its quotes and backslashes. Other text is returned as it is. */
export function unquote(text: string): string {
  if (text.length < 2 || codeAt(text, 0) !== 0x22 || codeAt(text, text.length - 1) !== 0x22) return text;
  const inner = text.slice(1, -1);
  return inner.includes("\\") ? inner.replace(/\\([\s\S])/g, "$1") : inner;
}

/** A text as a quoted string. CR and LF, which it cannot hold, become spaces. */
export function quote(text: string): string {
  return `"${text.replace(/[\r\n]/g, " ").replace(/["\\]/g, "\\$&")}"`;
}
