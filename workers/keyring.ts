import type { Keyring } from "../cluster/authority/keyring.ts";
import { keyringSchema } from "../schemas/keyring.ts";
import { read } from "../schemas/reading.ts";

/** A keyring as cells tell each other; undefined: it is none. */
export function keyringOf(value: unknown): Keyring | undefined {
  return read(keyringSchema, value).value;
}

/** The same in a text of JSON. */
export function keyringIn(text: string | undefined): Keyring | undefined {
  try {
    return text === undefined ? undefined : keyringOf(JSON.parse(text));
  } catch {
    return undefined;
  }
}
