import { BARE, isOf } from "../../sip/message/characters.ts";
import { escapeUser, unescapeUri, type Uri } from "../../sip/message/uri.ts";
import { domainOf, type ClusterMap } from "./cluster-map.ts";

/**
 * The canonical address-of-record of a URI in one of our domains, `user@domain`. By RFC 3261 10.3 5 parameters are removed and escapes resolved; then
 * those are put back that the grammar needs. `@domain` is for the domain itself. Undefined: the domain is not ours.
 */
export function addressOfRecordOf(map: ClusterMap, uri: Uri): string | undefined {
  if (!("host" in uri)) return undefined;
  const domain = domainOf(map, uri.host, uri.port);
  if (domain === undefined) return undefined;
  return `${canonicalUser(uri.user ?? "")}@${domain.name}`;
}

/**
 * The one spelling of a user part that may stand in a URI. Escapes that are not needed are resolved, the others are in capitals. What the grammar
 * wants escaped and many phones send bare (see BARE) is escaped.
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
