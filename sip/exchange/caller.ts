import { isParseError, type ParseError } from "../errors.ts";
import type { NameAddr } from "../message/name-addr.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { isSipUri } from "../message/uri.ts";
import { addressOfRecordOf } from "../placement/address-of-record.ts";
import { domainOf, type ClusterMap, type Domain } from "../placement/cluster-map.ts";

/**
 * Who sends an initial request, and where it wants to go, in terms of our domains: what decides whether it is authenticated, served or
 * refused. Nothing here trusts what it reads; it says what would have to be proved.
 */
export type Calling = {
  /** Our domain that the From claims; undefined: a caller from outside. */
  readonly callerDomain: Domain | undefined;
  /** Canonical address-of-record of the From, when it is ours. */
  readonly caller: string | undefined;
  /** Canonical address-of-record of the Request-URI, `@domain` for the domain itself; undefined: somewhere outside. */
  readonly callee: string | undefined;
};

/** Reads From and Request-URI of a request that has passed checkMandatory. */
export function callingOf(map: ClusterMap, message: SipMessage): Calling {
  const requestUri = message.parsedRequestUri;
  const callee = isParseError(requestUri) ? undefined : addressOfRecordOf(map, requestUri);
  const from = message.from;
  const fromUri = isParseError(from) ? undefined : from.parsedUri;
  if (fromUri === undefined || isParseError(fromUri) || !isSipUri(fromUri)) {
    return { callerDomain: undefined, caller: undefined, callee };
  }
  const callerDomain = domainOf(map, fromUri.host, fromUri.port);
  return { callerDomain, caller: callerDomain === undefined ? undefined : addressOfRecordOf(map, fromUri), callee };
}

/** The canonical address-of-record of a From or To, empty when it is not ours. */
export function addressOfRecordOfParty(map: ClusterMap, party: NameAddr | ParseError): string {
  const uri = isParseError(party) ? party : party.parsedUri;
  return (isParseError(uri) ? undefined : addressOfRecordOf(map, uri)) ?? "";
}

/** RFC 3261 10.3 5: the address-of-record that a REGISTER is about; undefined when its To is not in a domain of ours. */
export function addressOfRecordOfTo(
  map: ClusterMap,
  message: SipMessage,
): { readonly addressOfRecord: string; readonly domain: Domain } | undefined {
  const to = message.to;
  const uri = isParseError(to) ? to : to.parsedUri;
  if (isParseError(uri) || !isSipUri(uri)) return undefined;
  const domain = domainOf(map, uri.host, uri.port);
  const addressOfRecord = addressOfRecordOf(map, uri);
  return domain === undefined || addressOfRecord === undefined ? undefined : { addressOfRecord, domain };
}
