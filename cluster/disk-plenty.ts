import type { WallMs } from "../sip/time.ts";

/**
 * What the supervisor of a machine and its cells agree on about a disk with plenty of room (docs/decisions/0018). Within a cell's room directory a file
 * of this name says when there was plenty of it last, in milliseconds since 1970, in digits of a fixed number.
 */
export const plentyFile = "plenty";
const digits = 14;

/** Free octets that are plenty: more than a disk takes in {@link plentyMs}, at 3 GB/s, whoever writes. */
export const plentyOctets: number = 4 * 1024 ** 3;
/** How often the supervisor looks. */
export const plentySaidMs = 500;
/** For how long what it says is good: it may be late once. A supervisor that stands still vouches for nothing. */
export const plentyMs = 1_200;
/** What one object may write meanwhile: a hundred of them stay far below {@link plentyOctets}. */
export const plentyForOneOctets: number = 32 * 1024 ** 2;

/** `at`: when there was plenty; 0: there is not. As long as any other text, so that it is written in the place of the one before. */
export function plentyText(at: WallMs): string {
  return String(Math.trunc(at)).padStart(digits, "0");
}

/** For how long there is plenty, in milliseconds, by such a text. 0: nobody says so; a clock that was set makes a text that is old, or of a time to come. */
export function plentyLeftMs(text: string, now: WallMs): number {
  if (text.length !== digits) return 0;
  const ageMs = Math.abs(now - Number(text));
  return ageMs < plentyMs ? plentyMs - ageMs : 0;
}
