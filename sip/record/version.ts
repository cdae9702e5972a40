import { base36 } from "../base-36.ts";
import type { WallMs } from "../time.ts";

/**
 * The version of a record: a hybrid logical clock as text, `<ms, 9 digits of base 36><counter, 4 digits><cell>`. So comparing two versions is
 * comparing two strings, in memory, in a message and in an index of the disk.
 *
 * Text and not an object: 32 octets instead of about 80, and nothing to convert when a record is sent or stored. The milliseconds last until the year
 * 5188.
 */
export type Version = string;

/** Earlier than every version a clock makes. */
export const noVersion: Version = "";

export type VersionParts = {
  /** Milliseconds since the epoch; never earlier than the clock's `now` when the version was made. */
  readonly ms: number;
  /** Orders changes within one millisecond. */
  readonly counter: number;
  /** The cell that made the change. */
  readonly cell: string;
};

const msDigits = 9;
const counterDigits = 4;
const cellStart = msDigits + counterDigits;
/** The largest counter; the clock goes on with the next millisecond. */
export const counterMax = 36 ** counterDigits - 1;
const msMax = 36 ** msDigits - 1;

const versionPattern = /^[0-9a-z]{13}[0-9A-Za-z-]{1,32}$/;

/** The beginning of all versions of a millisecond. */
export function msTextOf(ms: number): string {
  if (!(ms >= 0 && ms <= msMax)) throw new RangeError(`no time for a version: ${ms}`);
  return base36(Math.floor(ms), msDigits);
}

/** A version with this beginning: see {@link msTextOf}. */
export function versionIn(msText: string, counter: number, cell: string): Version {
  // join() makes one flat string; a template of three would keep its parts alive.
  return [msText, base36(counter, counterDigits), cell].join("");
}

/** The parts of a version; undefined for text that {@link versionIn} cannot have made. */
export function parseVersion(text: string): VersionParts | undefined {
  if (!versionPattern.test(text)) return undefined;
  return { ms: msOfVersion(text), counter: Number.parseInt(text.slice(msDigits, cellStart), 36), cell: text.slice(cellStart) };
}

export function isVersion(text: string): boolean {
  return versionPattern.test(text);
}

/** When the change was made, in milliseconds since the epoch. */
export function msOfVersion(version: Version): WallMs {
  return Number.parseInt(version.slice(0, msDigits), 36);
}

/** The cell that made the change. */
export function cellOfVersion(version: Version): string {
  return version.slice(cellStart);
}

/** Negative when the first is earlier, positive when it is later, 0 when they name the same change. */
export function compareVersions(first: Version, second: Version): number {
  if (first === second) return 0;
  return first < second ? -1 : 1;
}

export function laterVersion(first: Version, second: Version): Version {
  return first < second ? second : first;
}
