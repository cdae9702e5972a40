import { hashOf } from "./signature.ts";

/** Digits of it that are shown: no two of a million calls have the same. */
const digits = 16;

/** What a call is known by to people: a name of its own, for its key is as long as its phone likes. */
export function callIdOf(key: string): string {
  return hashOf("SHA-256", key).slice(0, digits);
}
