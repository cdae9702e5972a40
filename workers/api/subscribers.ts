import { isParseError } from "../../sip/errors.ts";
import { addressOfRecordOctetsMax, usernameOctetsMax } from "../../sip/limits.ts";
import { parseUri } from "../../sip/message/uri.ts";
import { addressOfRecordOf } from "../../cluster/map/address-of-record.ts";
import { domainOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { subscribersBodySchema } from "../../schemas/api-bodies.ts";
import { type Fault, read } from "../../schemas/reading.ts";
import type { SubscriberChange } from "../../sip/record/values.ts";

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
  const { value, fault } = read(subscribersBodySchema, json);
  if (fault !== undefined) return { error: subscriberFaultText(fault) };
  const changes: SubscriberChange[] = [];
  for (const [index, subscriber] of value.entries()) {
    const aor = readAddressOfRecord(map, subscriber.aor);
    if (typeof aor !== "string") return { error: `subscriber ${index + 1}: ${aor.error}` };
    changes.push({ ...subscriber, aor });
  }
  return changes;
}

/** People count from one, and call an element of this list a subscriber. */
function subscriberFaultText({ path, reason }: Fault): string {
  const [, index, key = ""] = /^\[(\d+)\]\.?(.*)$/.exec(path) ?? [];
  if (index === undefined) return reason;
  return `subscriber ${Number(index) + 1}: ${key === "" ? "" : `${key} `}${reason}`;
}
