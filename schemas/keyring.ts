import { exactOptional, type GenericSchema, nonEmpty, pipe, string } from "valibot";
import type { Keyring } from "../cluster/authority/keyring.ts";
import { record, whole } from "./reading.ts";

const text = pipe(string("must be a text"), nonEmpty("must not be empty"));

/** What only cells have, as they are given it and tell it to each other. */
export const keyringSchema = record({
  version: whole(0),
  writer: string(),
  secret: text,
  authority: exactOptional(record({ name: text, publicKey: text, privateKey: text })),
}) satisfies GenericSchema<unknown, Keyring>;
