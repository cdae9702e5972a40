import { isSipUri, isTelUri, type Uri } from "../../sip/message/uri.ts";
import { canonicalUser } from "./address-of-record.ts";
import { shownDomainOf, type ClusterMap, type Domain } from "./cluster-map.ts";
import { showsAddress } from "./shown-address.ts";

/** Whose address-of-record somebody claims who writes this URI into a From. */
export type Claim = {
  /** Undefined: somebody from outside. */
  readonly domain: Domain | undefined;
  /** Canonical; undefined where the domain is, and for a URI that no user of ours can have, though it looks like one. */
  readonly addressOfRecord: string | undefined;
};

const nobody: Claim = { domain: undefined, addressOfRecord: undefined };

/**
 * A SIP URI claims a domain of ours at any port (see shownDomainOf). One elsewhere, whose user part is the address of a user of ours
 * (`bob%40example.test`), claims that domain and cannot be proved. Phones show the user part alone. A telephone number has no domain: on a display it
 * is the user of that name, so it claims that one, of our first domain. Any other scheme may spell our users as well (`im:alice@example.test`): it
 * claims the first domain, and cannot be proved.
 */
export function claimOf(map: ClusterMap, uri: Uri): Claim {
  if (isSipUri(uri)) {
    const domain = shownDomainOf(map, uri.host);
    if (domain !== undefined) return { domain, addressOfRecord: `${canonicalUser(uri.user ?? "")}@${domain.name}` };
    if (uri.user === undefined) return nobody;
    const shown = uri.password === undefined ? uri.user : `${uri.user}:${uri.password}`;
    if (!showsAddress(map, shown, undefined)) return nobody;
    return { domain: map.domains.find(({ auth }) => auth === "digest"), addressOfRecord: undefined };
  }
  const [domain] = map.domains;
  if (domain === undefined) return nobody;
  // RFC 3966 5.1.1: visual separators mean nothing.
  return { domain, addressOfRecord: isTelUri(uri) ? `${canonicalUser(uri.number.replace(/[-.()]/g, ""))}@${domain.name}` : undefined };
}
