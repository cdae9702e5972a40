import { exactOptional, type GenericSchema, maxLength, minLength, nonEmpty, pipe, string } from "valibot";
import { formerSecretsMax, servedCertificatesMax, servedNamesMax, servedOctetsMax } from "../cluster/authority/limits.ts";
import type { Keyring } from "../cluster/authority/keyring.ts";
import { list, record, whole } from "./reading.ts";

const text = pipe(string("must be a text"), nonEmpty("must not be empty"));
const place = { version: whole(0), writer: string() };
const placed = { ...place, secret: text };

const pem = pipe(text, maxLength(servedOctetsMax, `at most ${servedOctetsMax} characters`));
const names = pipe(
  list(pipe(text, maxLength(253))),
  minLength(1, "must name something"),
  maxLength(servedNamesMax, `at most ${servedNamesMax} names`),
);
/** A certificate that gateways show. */
export const servedEntries = { directory: pipe(text, maxLength(300)), names, chain: pem, key: pem, until: whole(0) };

/** What only cells have, as they are given it and tell it to each other. */
export const keyringSchema = record({
  ...placed,
  next: exactOptional(record(placed)),
  former: exactOptional(pipe(list(record({ ...placed, until: whole(0) })), maxLength(2 * formerSecretsMax, "has too many secrets"))),
  ended: exactOptional(record(place)),
  authority: exactOptional(record({ name: text, publicKey: text, privateKey: text })),
  served: exactOptional(
    pipe(list(record({ ...servedEntries, from: exactOptional(whole(0)) })), maxLength(servedCertificatesMax, "has too many certificates")),
  ),
}) satisfies GenericSchema<unknown, Keyring>;
