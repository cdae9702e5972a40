import { oneSpelling } from "../../sip/message/ip-address.ts";
import { fnv1a } from "../../sip/flow/token.ts";

/** A SIP domain that this cluster serves. */
export type Domain = {
  readonly name: string;
  /** `open`: nobody is asked for a password. */
  readonly auth: "digest" | "open";
  /** Algorithms offered in challenges, the preferred one first, and taken in answers; absent: MD5. */
  readonly digest?: readonly ("MD5" | "SHA-256")[];
};

/**
 * The cluster map: cells, exchange count, which two cells serve which exchange, domains, settings. Versioned; every access and every
 * exchange works from the same one.
 */
export type ClusterMap = {
  readonly version: number;
  /** In order of preference: the first live one is the coordinator. */
  readonly cells: readonly { readonly id: string; readonly url: string }[];
  readonly exchangeCount: number;
  /** Lines of one cell. */
  readonly lineCount: number;
  readonly domains: readonly Domain[];
  /**
   * Hosts that mean the first domain: the cluster addresses, as phones may dial `sip:bob@192.0.2.1`: each as `host` and as `host:port`.
   * Lower case, IPv6 in brackets.
   */
  readonly aliases: readonly string[];
  readonly heartbeat: { readonly periodMs: number; readonly missed: number };
  /** `enabled` false: replicas keep to themselves, to measure what replication costs. Absent: they are pairs. */
  readonly replication: { readonly ackTimeoutMs: number; readonly enabled?: boolean };
  readonly flushMs: number;
  /** Wrong passwords that one address may send at once (auth/guess-brake.ts); 0: as many as it likes. Absent: the default. */
  readonly failedLogins?: number;
};

/** The exchange that serves an address-of-record (canonical form, see address-of-record.ts). */
export function exchangeOf(map: ClusterMap, addressOfRecord: string): number {
  return fnv1a(addressOfRecord) % map.exchangeCount;
}

/**
 * The two cells of an exchange, primary first; the same cell twice where there is only one. Neighbouring exchanges of one primary
 * have different seconds, so that a dead cell's load spreads over all the others.
 */
export function pairOf(map: ClusterMap, exchange: number): { readonly primary: string; readonly secondary: string } {
  const count = map.cells.length;
  const first = exchange % count;
  const second = count === 1 ? first : (first + 1 + (Math.floor(exchange / count) % (count - 1))) % count;
  const primary = map.cells[first];
  const secondary = map.cells[second];
  if (primary === undefined || secondary === undefined) throw new RangeError("a cluster map without cells");
  return { primary: primary.id, secondary: secondary.id };
}

/**
 * The domain that a host and port mean. It is a domain of ours (whatever the port), or an alias of the first one, as it stands in the map
 * (`192.0.2.1`, `192.0.2.1:5060`). Undefined: anybody else's. The port counts for aliases because a phone may have the same address as a gateway, as
 * on one machine. Hosts are compared in one spelling: see {@link oneSpelling}.
 */
export function domainOf(map: ClusterMap, host: string, port?: number): Domain | undefined {
  const name = oneSpelling(host);
  for (const domain of map.domains) if (domain.name === name) return domain;
  const alias = port === undefined ? name : `${name}:${port}`;
  if (map.aliases.includes(alias)) return map.domains[0];
  return isNumeric(name) && spelledOf(map).aliases.has(alias) ? map.domains[0] : undefined;
}

/**
 * The domain that somebody claims to be of who writes this host into a From: as {@link domainOf}, but an alias counts at any port. Who reads
 * `alice@192.0.2.1:9999` sees one of our users.
 */
export function claimedDomainOf(map: ClusterMap, host: string): Domain | undefined {
  const domain = domainOf(map, host);
  if (domain !== undefined) return domain;
  return spelledOf(map).hosts.has(oneSpelling(host)) ? map.domains[0] : undefined;
}

/** The aliases of a map, and their hosts alone, in one spelling. */
type Spelled = { readonly aliases: ReadonlySet<string>; readonly hosts: ReadonlySet<string> };

const spelled = new WeakMap<ClusterMap, Spelled>();

/** Made once for a map: it is asked for each caller from outside. */
function spelledOf(map: ClusterMap): Spelled {
  let known = spelled.get(map);
  if (known === undefined) {
    const aliases = map.aliases.map((each) => aliasOf(each));
    known = { aliases: new Set(aliases), hosts: new Set(aliases.map((each) => hostOfAlias(each))) };
    spelled.set(map, known);
  }
  return known;
}

/** Names of the machine itself (RFC 6761 6.3, and what /etc/hosts usually has). */
const localNames = /^(?:localhost|localhost6|localhost4|ip6-localhost|ip6-loopback|localhost\.localdomain|.*\.localhost)$/;
/** Addresses of the machine itself: 127.0.0.0/8, 0.0.0.0/8, `::1` and `::` (RFC 6890 2.2.2, RFC 4291 2.5). */
const localAddresses = /^(?:0|127)\.\d+\.\d+\.\d+$|^\[(?:0:){7}[01]\]$/;

/**
 * The domain that people read in an address that comes from outside. It is that of {@link claimedDomainOf}, and the first one for the names and
 * addresses that each machine has for itself. Nobody outside has those: who reads `alice@localhost` takes her for one of this place.
 */
export function shownDomainOf(map: ClusterMap, host: string): Domain | undefined {
  const domain = claimedDomainOf(map, host);
  if (domain !== undefined) return domain;
  const name = oneSpelling(host);
  return (isNumeric(name) ? localAddresses : localNames).test(name) ? map.domains[0] : undefined;
}

/** Whether it is a name that each machine has for itself. */
export function isLocalName(host: string): boolean {
  return localNames.test(host);
}

function isNumeric(host: string): boolean {
  return /^[0-9[]/.test(host);
}

/** An alias with its host in one spelling. */
function aliasOf(alias: string): string {
  const host = hostOfAlias(alias);
  return `${oneSpelling(host)}${alias.slice(host.length)}`;
}

/** `host` of `host` or `host:port`; an IPv6 address stands in brackets. */
function hostOfAlias(alias: string): string {
  const colon = alias.indexOf(":", alias.startsWith("[") ? alias.indexOf("]") : 0);
  return colon < 0 ? alias : alias.slice(0, colon);
}
