import { BARE, isOf } from "../message/characters.ts";
import { escapeUser, isSipUri, isTelUri, unescapeUri, type Uri } from "../message/uri.ts";
import { claimedDomainOf, domainOf, type ClusterMap, type Domain } from "./cluster-map.ts";

/**
 * The canonical address-of-record of a URI in one of our domains, `user@domain` (RFC 3261 10.3 5: parameters removed, escapes resolved,
 * then those put back that the grammar needs); `@domain` for the domain itself; undefined when the domain is not ours.
 */
export function addressOfRecordOf(map: ClusterMap, uri: Uri): string | undefined {
  if (!("host" in uri)) return undefined;
  const domain = domainOf(map, uri.host, uri.port);
  if (domain === undefined) return undefined;
  return `${canonicalUser(uri.user ?? "")}@${domain.name}`;
}

/** Whose address-of-record somebody claims who writes this URI into a From. */
export type Claim = {
  /** Undefined: somebody from outside. */
  readonly domain: Domain | undefined;
  /** Canonical; undefined where the domain is, and for a URI that no user of ours can have, though it looks like one. */
  readonly addressOfRecord: string | undefined;
};

const nobody: Claim = { domain: undefined, addressOfRecord: undefined };

/**
 * A SIP URI claims a domain of ours at any port (see claimedDomainOf). A telephone number has no domain: on a display it is the user of that name,
 * so it claims that one, of our first domain. Any other scheme may spell our users as well (`im:alice@example.test`): it claims the
 * first domain, and cannot be proved.
 */
export function claimOf(map: ClusterMap, uri: Uri): Claim {
  if (isSipUri(uri)) {
    const domain = claimedDomainOf(map, uri.host);
    return domain === undefined ? nobody : { domain, addressOfRecord: `${canonicalUser(uri.user ?? "")}@${domain.name}` };
  }
  const [domain] = map.domains;
  if (domain === undefined) return nobody;
  // RFC 3966 5.1.1: visual separators mean nothing.
  return { domain, addressOfRecord: isTelUri(uri) ? `${canonicalUser(uri.number.replace(/[-.()]/g, ""))}@${domain.name}` : undefined };
}

/**
 * The one spelling of a user part that may stand in a URI: escapes that are not needed resolved, the others in capitals, and what the grammar
 * wants escaped and many phones send bare (see BARE), escaped.
 */
export function canonicalUser(user: string): string {
  for (let i = 0; i < user.length; i += 1) {
    const code = user.charCodeAt(i);
    if (code === 0x25 || isOf(code, BARE)) return escapeUser(unescapeUri(user));
  }
  return user;
}

/** The user of an address-of-record (`user@domain`, canonical) as it stands in a digest username: without escapes. */
export function usernameOf(addressOfRecord: string): string {
  return unescapeUri(addressOfRecord.slice(0, addressOfRecord.lastIndexOf("@")));
}
