import { isParseError, type ParseError } from "../../sip/errors.ts";
import { Header } from "../../sip/message/header-names.ts";
import { parseNameAddr, type NameAddr } from "../../sip/message/name-addr.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import { isSipUri } from "../../sip/message/uri.ts";
import { addressOfRecordOf } from "../../cluster/map/address-of-record.ts";
import { claimOf, type Claim } from "../../cluster/map/claim.ts";
import { domainOf, type ClusterMap, type Domain } from "../../cluster/map/cluster-map.ts";
import { showsAddress } from "../../cluster/map/shown-address.ts";
import { privacyOf } from "../../sip/proxy/identity-headers.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import { isUndialable } from "../../sip/registrar/contact.ts";

/**
 * Who sends an initial request, and where it wants to go, in terms of our domains: what decides whether it is authenticated, served or
 * refused. Nothing here trusts what it reads; it says what would have to be proved.
 */
export type Calling = {
  /** Our domain that the caller claims; undefined: a caller from outside. */
  readonly callerDomain: Domain | undefined;
  /** Canonical address-of-record that the caller claims; undefined: none of ours, or one that nobody can have. */
  readonly caller: string | undefined;
  /** Canonical address-of-record of the Request-URI, `@domain` for the domain itself; undefined: somewhere outside. */
  readonly callee: string | undefined;
};

/**
 * Reads From and Request-URI of a request that has passed checkMandatory. For a From that is nobody's here, such as an anonymous one,
 * P-Preferred-Identity counts (RFC 3325 6). A phone of ours tells who it is by that, and proves it.
 */
export function callingOf(map: ClusterMap, message: SipMessage): Calling {
  const requestUri = message.parsedRequestUri;
  const callee = isParseError(requestUri) ? undefined : addressOfRecordOf(map, requestUri);
  let claim = claimOfParty(map, message.from);
  if (claim?.domain === undefined && message.hasIdentityHeaders) {
    const preferred = message.nameAddrs(Header.PPreferredIdentity);
    claim = isParseError(preferred) ? claim : (preferred.map((each) => claimOfParty(map, each)).find((each) => each?.domain) ?? claim);
  }
  return { callerDomain: claim?.domain, caller: claim?.addressOfRecord, callee };
}

/** Whether a From or To is this address-of-record, by its text: most are, and need not be read for that. */
export function isPlainly(party: NameAddr | ParseError, addressOfRecord: string): boolean {
  if (isParseError(party)) return false;
  const { uri } = party;
  return uri.length === addressOfRecord.length + 4 && uri.startsWith("sip:") && uri.endsWith(addressOfRecord);
}

/** What a From, or whatever names a caller, claims of ours; undefined: it is no SIP URI. */
export function claimOfParty(map: ClusterMap, party: NameAddr | ParseError): Claim | undefined {
  const uri = isParseError(party) ? party : party.parsedUri;
  return isParseError(uri) ? undefined : claimOf(map, uri);
}

/**
 * True when the display name of the From shows the address of a user of ours who is not the caller. Most phones show the name and not the URI. Only
 * of domains whose users prove who they are. `caller`: who has proved it, undefined for a caller from outside.
 */
export function showsAnother(map: ClusterMap, message: SipMessage, caller: string | undefined): boolean {
  const { from } = message;
  return !isParseError(from) && showsAddress(map, from.displayName, caller);
}

/**
 * Notes in an authorized request what its forwarding needs to know of its caller. Told to phones of ours is who has proved an identity (where nobody
 * is asked, nobody has) and does not mind (RFC 3325 7).
 */
export function vouch(request: Preprocessed, { callee, caller, callerDomain }: Calling): void {
  const uri = request.message.parsedRequestUri;
  request.isLeaving = callee === undefined && (isParseError(uri) || !isSipUri(uri) || !isUndialable(uri));
  if (!request.isLeaving && callerDomain?.auth === "digest" && !privacyOf(request.message).isAnonymous) request.asserted = caller;
}

/** The canonical address-of-record of a From or To, empty when it is not ours. */
export function addressOfRecordOfParty(map: ClusterMap, party: NameAddr | ParseError): string {
  const uri = isParseError(party) ? party : party.parsedUri;
  return (isParseError(uri) ? undefined : addressOfRecordOf(map, uri)) ?? "";
}

/** The same of a header's text that holds one (Referred-By). */
export function addressOfRecordIn(map: ClusterMap, text: string): string {
  return addressOfRecordOfParty(map, parseNameAddr(text));
}

/** Whether users of the domain of this address-of-record prove nothing. */
export function asksNobody(map: ClusterMap, addressOfRecord: string): boolean {
  return domainOf(map, addressOfRecord.slice(addressOfRecord.lastIndexOf("@") + 1))?.auth === "open";
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
