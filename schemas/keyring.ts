import { exactOptional, type GenericSchema, maxLength, nonEmpty, pipe, string } from "valibot";
import { formerSecretsMax } from "../cluster/authority/limits.ts";
import type { Keyring } from "../cluster/authority/keyring.ts";
import { list, record, whole } from "./reading.ts";

const text = pipe(string("must be a text"), nonEmpty("must not be empty"));
const place = { version: whole(0), writer: string() };
const placed = { ...place, secret: text };

/** What only cells have, as they are given it and tell it to each other. */
export const keyringSchema = record({
  ...placed,
  next: exactOptional(record(placed)),
  former: exactOptional(pipe(list(record({ ...placed, until: whole(0) })), maxLength(2 * formerSecretsMax, "has too many secrets"))),
  ended: exactOptional(record(place)),
  authority: exactOptional(record({ name: text, publicKey: text, privateKey: text })),
}) satisfies GenericSchema<unknown, Keyring>;
