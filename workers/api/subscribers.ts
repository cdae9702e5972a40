import { isParseError } from "../../sip/errors.ts";
import { addressOfRecordOctetsMax, usernameOctetsMax } from "../../sip/limits.ts";
import { parseUri } from "../../sip/message/uri.ts";
import { addressOfRecordOf } from "../../cluster/map/address-of-record.ts";
import { domainOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { SubscriberChange } from "../../sip/record/values.ts";
import { subscribersPerRequestMax } from "../limits.ts";

/** What an operator typed was wrong; the text says what. */
export type InputError = { readonly error: string };

export function isInputError(value: object): value is InputError {
  return "error" in value;
}

/** The canonical form of an address-of-record as people write it, with or without `sip:`; it must be a user of one of our domains. */
export function readAddressOfRecord(map: ClusterMap, text: string): string | InputError {
  if (text.length > addressOfRecordOctetsMax) return { error: `an address-of-record has at most ${addressOfRecordOctetsMax} octets` };
  const uri = parseUri(/^sips?:/i.test(text) ? text : `sip:${text}`);
  if (isParseError(uri) || !("user" in uri) || uri.user === undefined || uri.user === "") {
    return { error: `${JSON.stringify(text)} is no address-of-record, write user@domain` };
  }
  if (uri.user.length > usernameOctetsMax) return { error: `a username has at most ${usernameOctetsMax} octets` };
  const domain = domainOf(map, uri.host, uri.port);
  const addressOfRecord = addressOfRecordOf(map, uri);
  if (domain === undefined || addressOfRecord === undefined) return { error: `${uri.host} is none of our domains` };
  return addressOfRecord;
}

/** Checks the body of `PUT /api/subscribers`: one wrong entry refuses them all. */
export function readSubscribers(map: ClusterMap, json: unknown): SubscriberChange[] | InputError {
  if (!Array.isArray(json)) return { error: "the body must be a JSON array of {aor, ha1Md5, ha1Sha256, ha1bMd5, ha1bSha256}" };
  if (json.length > subscribersPerRequestMax) return { error: `at most ${subscribersPerRequestMax} subscribers in one request` };
  const changes: SubscriberChange[] = [];
  for (const [index, entry] of json.entries()) {
    const change = readSubscriber(map, entry);
    if (isInputError(change)) return { error: `subscriber ${index + 1}: ${change.error}` };
    changes.push(change);
  }
  return changes;
}

function readSubscriber(map: ClusterMap, entry: unknown): SubscriberChange | InputError {
  if (typeof entry !== "object" || entry === null) return { error: "not an object" };
  const fields = entry as Readonly<Record<string, unknown>>;
  const { aor } = fields as { readonly aor?: unknown };
  if (typeof aor !== "string") return { error: "aor is missing" };
  const addressOfRecord = readAddressOfRecord(map, aor);
  if (typeof addressOfRecord !== "string") return addressOfRecord;
  const ha1Md5 = hexOf(fields, "ha1Md5", 32);
  const ha1Sha256 = hexOf(fields, "ha1Sha256", 64);
  if (ha1Md5 === undefined || ha1Sha256 === undefined) return { error: "ha1Md5 must be 32 and ha1Sha256 64 hex digits" };
  // For phones that put user@domain into username. Without them such phones are refused.
  return {
    aor: addressOfRecord,
    ha1Md5,
    ha1Sha256,
    ha1bMd5: hexOf(fields, "ha1bMd5", 32) ?? "",
    ha1bSha256: hexOf(fields, "ha1bSha256", 64) ?? "",
  };
}

function hexOf(fields: Readonly<Record<string, unknown>>, name: string, length: number): string | undefined {
  const value = fields[name];
  return typeof value === "string" && value.length === length && /^[0-9a-f]+$/i.test(value) ? value.toLowerCase() : undefined;
}
