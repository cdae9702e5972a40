import { PARAM_VALUE, TOKEN, URI_PARAM, characterClasses } from "./characters.ts";

/** More parameters than any value has that is read this way. */
const COUNT_MAX = 16;
const STRIDE = 4;

/** Of the parameters that were read last: where the name and the value of each begin and end. One array for all: see {@link plainParam}. */
const found: number[] = [];
let foundEnd = 0;

/**
 * Reads header parameters where they stand, from `at` to `end` or to a comma, and says how many there are. It is for values of the plain form,
 * without white space, backslashes, or two names that might be the same. -1 is any other, malformed ones among them: `parseParams` decides about
 * those. What was read is there until the next call.
 */
export function readPlainParams(octets: Uint8Array, at: number, end: number): number {
  return read(octets, at, end, TOKEN, PARAM_VALUE);
}

/** The same for the parameters of a URI: those without escapes, and without empty values. */
export function readPlainUriParams(octets: Uint8Array, at: number, end: number): number {
  const count = read(octets, at, end, URI_PARAM, URI_PARAM);
  return foundEnd === end ? count : -1;
}

function read(octets: Uint8Array, at: number, end: number, nameClass: number, valueClass: number): number {
  let count = 0;
  let i = at;
  while (i < end) {
    if (octets[i] !== 0x3b || count === COUNT_MAX) {
      if (octets[i] === 0x2c) break;
      return -1;
    }
    const nameStart = i + 1;
    i = endOf(octets, nameStart, end, nameClass);
    const nameEnd = i;
    if (nameEnd === nameStart || isMaybeRepeated(octets, count, nameStart, nameEnd)) return -1;
    let valueStart = nameEnd;
    if (i < end && octets[i] === 0x3d) {
      valueStart = i + 1;
      const isQuoted = valueStart < end && octets[valueStart] === 0x22 && valueClass === PARAM_VALUE;
      i = isQuoted ? endOfPlainQuoted(octets, valueStart, end) : endOf(octets, valueStart, end, valueClass);
      if (i <= valueStart) return -1;
    }
    const slot = count * STRIDE;
    found[slot] = nameStart;
    found[slot + 1] = nameEnd;
    found[slot + 2] = valueStart;
    found[slot + 3] = i;
    count++;
  }
  foundEnd = i;
  return count;
}

/** Where the parameters that were read last end: behind them is a comma, or nothing. */
export function plainParamsEnd(): number {
  return foundEnd;
}

/** Which of the `count` parameters that were read last has this name, in lower-case letters; -1: none has. */
export function plainParam(octets: Uint8Array, count: number, name: string): number {
  const { length } = name;
  for (let param = 0; param < count; param++) {
    const start = found[param * STRIDE] ?? 0;
    if ((found[param * STRIDE + 1] ?? 0) - start !== length) continue;
    let i = 0;
    while (i < length && ((octets[start + i] ?? 0) | 0x20) === name.charCodeAt(i)) i++;
    if (i === length) return param;
  }
  return -1;
}

/** Where the value of a parameter begins that was read last: where it ends, when there is none. */
export function plainValueStart(param: number): number {
  return found[param * STRIDE + 2] ?? 0;
}

export function plainValueEnd(param: number): number {
  return found[param * STRIDE + 3] ?? 0;
}

/** Offset behind the quoted string at `at`; -1 when it does not close, or has a backslash in it. */
export function endOfPlainQuoted(octets: Uint8Array, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    if (octets[i] === 0x22) return i + 1;
    if (octets[i] === 0x5c) return -1;
  }
  return -1;
}

function endOf(octets: Uint8Array, start: number, end: number, classes: number): number {
  let i = start;
  while (i < end && ((characterClasses[octets[i] ?? 0] ?? 0) & classes) !== 0) i++;
  return i;
}

/** Whether one of the names before has the same length and initial: seldom, and reading as text is only slower. */
function isMaybeRepeated(octets: Uint8Array, count: number, start: number, end: number): boolean {
  const initial = (octets[start] ?? 0) | 0x20;
  for (let slot = 0; slot < count * STRIDE; slot += STRIDE) {
    const other = found[slot] ?? 0;
    if ((found[slot + 1] ?? 0) - other === end - start && ((octets[other] ?? 0) | 0x20) === initial) return true;
  }
  return false;
}
