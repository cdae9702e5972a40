import { listValuesMax } from "../limits.ts";
import { parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { PARAM_VALUE, TOKEN, isOf, skipSpace } from "./characters.ts";

/**
 * Parameters of a header value or a URI, in their order. Names are lower-case (RFC 3261 7.3.1: they are case-insensitive); values are raw:
 * a quoted one keeps its quotes (see {@link unquote}), an escaped one its escapes. Immutable.
 */
export class Params {
  readonly #names: readonly string[];
  readonly #values: readonly string[];

  constructor(names: readonly string[], values: readonly string[]) {
    this.#names = names;
    this.#values = values;
  }

  get size(): number {
    return this.#names.length;
  }

  /** The value of a parameter: `""` when it stands without one, undefined when it is absent. The name is lower-case. */
  get(name: string): string | undefined {
    const i = this.#names.indexOf(name);
    return i < 0 ? undefined : this.#values[i];
  }

  has(name: string): boolean {
    return this.#names.includes(name);
  }

  entries(): [name: string, value: string][] {
    return this.#names.map((name, i) => [name, this.#values[i] ?? ""]);
  }

  /** These parameters with one changed in place, or added at the end. */
  with(name: string, value = ""): Params {
    const i = this.#names.indexOf(name);
    if (i < 0) return new Params([...this.#names, name], [...this.#values, value]);
    return new Params(this.#names, this.#values.with(i, value));
  }

  /** These parameters without one. */
  without(name: string): Params {
    const kept = this.entries().filter(([other]) => other !== name);
    return new Params(
      kept.map((entry) => entry[0]),
      kept.map((entry) => entry[1]),
    );
  }

  /** `;name=value;name`, as in a message. */
  serialize(): string {
    let text = "";
    for (const [name, value] of this.entries()) text += value === "" ? `;${name}` : `;${name}=${value}`;
    return text;
  }
}

/** No parameters. */
export const noParams: Params = new Params([], []);

/**
 * `*( SEMI name [ EQUAL value ] )` from an offset to the end of the text: the parameters of a header value (RFC 3261 25.1 generic-param).
 * White space may stand around `;` and `=`. An empty parameter, one that stands twice (7.3.1) or anything else in between is an error 400.
 */
export function parseParams(text: string, at: number): Params | ParseError {
  let i = skipSpace(text, at);
  if (i >= text.length) return noParams;
  const names: string[] = [];
  const values: string[] = [];
  while (i < text.length) {
    if (text.charCodeAt(i) !== 0x3b) return parseError("params", 400, "Malformed Parameters", i);
    const nameStart = skipSpace(text, i + 1);
    i = nameStart;
    while (isOf(text.charCodeAt(i), TOKEN)) i++;
    if (i === nameStart) return parseError("params", 400, "Malformed Parameters", i);
    const name = text.slice(nameStart, i).toLowerCase();
    i = skipSpace(text, i);
    let value = "";
    if (text.charCodeAt(i) === 0x3d) {
      const valueStart = skipSpace(text, i + 1);
      const valueEnd = endOfParamValue(text, valueStart);
      if (valueEnd < 0) return parseError("params", 400, "Malformed Parameter Value", valueStart);
      value = text.slice(valueStart, valueEnd);
      i = skipSpace(text, valueEnd);
    }
    if (names.includes(name)) return parseError("duplicate-param", 400, "Repeated Parameter", nameStart);
    if (names.length === listValuesMax) return parseError("params-max", 400, "Too Many Parameters", nameStart);
    names.push(name);
    values.push(value);
  }
  return new Params(names, values);
}

/** Offset behind a parameter value, -1 when there is none or its quotes do not close. */
function endOfParamValue(text: string, at: number): number {
  if (text.charCodeAt(at) === 0x22) return endOfQuoted(text, at);
  let i = at;
  while (isOf(text.charCodeAt(i), PARAM_VALUE)) i++;
  return i === at ? -1 : i;
}

/** Offset behind the quoted string that begins at `at`, -1 when it does not close (RFC 3261 25.1 quoted-string, quoted-pair). */
export function endOfQuoted(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x5c) i++;
    else if (code === 0x22) return i + 1;
  }
  return -1;
}

/** What a quoted string means: without its quotes and backslashes. Other text is returned as it is. */
export function unquote(text: string): string {
  if (text.length < 2 || text.charCodeAt(0) !== 0x22 || text.charCodeAt(text.length - 1) !== 0x22) return text;
  const inner = text.slice(1, -1);
  return inner.includes("\\") ? inner.replace(/\\([\s\S])/g, "$1") : inner;
}

/** A text as a quoted string. CR and LF, which it cannot hold, become spaces. */
export function quote(text: string): string {
  return `"${text.replace(/[\r\n]/g, " ").replace(/["\\]/g, "\\$&")}"`;
}
