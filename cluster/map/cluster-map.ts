import { oneSpelling } from "../../sip/message/ip-address.ts";
import { sipHash, sipHashKeyOf, type SipHashKey } from "../../sip/sip-hash.ts";
import { fnv1a } from "../../sip/flow/token.ts";
import type { WallMs } from "../../sip/time.ts";
import type { CertificateOrder } from "./certificate-order.ts";
import type { Doubled } from "./doubling.ts";
import type { UsedInvitation } from "./invitations.ts";
import type { Member } from "./members.ts";
import type { HostOrder } from "./orders.ts";
import type { Singleton } from "./singleton.ts";

/** A SIP domain that this cluster serves. */
export type Domain = {
  readonly name: string;
  /** `open`: nobody is asked for a password. */
  readonly auth: "digest" | "open";
  /** Algorithms offered in challenges, the preferred one first, and taken in answers; absent: MD5. */
  readonly digest?: readonly ("MD5" | "SHA-256")[];
};

/** A cell as the map has it. */
export type MapCell = {
  readonly id: string;
  readonly url: string;
  /** Where softphones connect, when that is not {@link url}: in a system with an authority members have a socket of their own. */
  readonly door?: string;
  /** The machine that it runs on, and where that stands. Two replicas are kept apart where that can be. Absent: nobody knows. */
  readonly host?: string;
  readonly location?: string;
  /** Which share of the exchanges it is to have, beside those of the others. Absent: 1. */
  readonly weight?: number;
};

/** What the operator has said of a gateway. */
export type MapGateway = {
  readonly id: string;
  /** Which share of the phones it is to get, beside the others (gateways.ts). */
  readonly weight: number;
};

/** A gateway that is taken out of service: what it has it keeps, and it tells whoever probes it to go elsewhere. */
export type DrainingGateway = {
  readonly id: string;
  /** When it begins to close the connections that it has then, by the clocks. Absent: it does not. */
  readonly closeAt?: WallMs;
};

/** Which cells have the replicas of an exchange. */
export type Assignment = {
  readonly primary: string;
  /** The same as the primary where there is only one. */
  readonly secondary: string;
  /** A cell that is being told all that the primary has, to be the secondary when it knows it. */
  readonly joining?: string;
};

/**
 * The cluster map: cells, exchange count, which two cells serve which exchange, domains, settings. The map that a cell is deployed with is the first
 * version. Core groups keep the newest and tell it to each other, and every access and every exchange works from it.
 */
export type ClusterMap = {
  /** The epoch of its version (map-version.ts). */
  readonly version: number;
  /** The cell that wrote it. Absent: it was deployed. */
  readonly writer?: string;
  /** The version in which the operator stated what only he does (deployed-map.ts). Absent: this one. */
  readonly statedAt?: number;
  /** The first live one is the coordinator, unless one of `preferred` lives. */
  readonly cells: readonly MapCell[];
  readonly exchangeCount: number;
  /** How they came to be so many. Absent: there have always been as many. */
  readonly doubled?: Doubled;
  /**
   * Keys the hash that says which exchange an address-of-record belongs to: 32 hex digits, a secret of the cluster. Else anybody could find names that all
   * belong to one. Absent, as in systems from before it: the hash has no key.
   */
  readonly hashKey?: string;
  /** By exchange. Absent, as in a map that is deployed: see {@link pairOf}. */
  readonly assignments?: readonly Assignment[];
  /**
   * The cells that had the exchanges at first (see {@link firstPairOf}), in their order. An empty text stands for one that was removed: a new cell of its
   * name has nothing of it. Absent: cells have not come or gone since.
   */
  readonly founders?: readonly string[];
  /** Cells that were removed, and whose names nobody has now. What they still bring is taken. Absent: none. */
  readonly former?: readonly string[];
  /**
   * Where cells were that were removed, or are elsewhere now. What a cell was deployed with may still say so, and does not count any more: the name may be given
   * again to one that is elsewhere (deployed-map.ts). Absent: there are none.
   */
  readonly formerUrls?: readonly Pick<MapCell, "id" | "url">[];
  /**
   * Who signs certificates of members, as a certificate in PEM. With it members sign with their own keys, and nobody else is heard (members.ts). Absent: all
   * sign with the secret of the system.
   */
  readonly authority?: string;
  /** Who signs what, in a system with an authority. Absent: nobody. */
  readonly members?: readonly Member[];
  /** Keys of members that were removed: they count in no map. Absent: none. */
  readonly revoked?: readonly string[];
  /**
   * Keys that were revoked on another side of a cut, whose map has lost. They count as little as those above, and no version says so
   * yet. Each cell that knows of them tells the others, and the coordinator writes them into the next one. Absent: none.
   */
  readonly revokedBeside?: readonly string[];
  /** Invitations that hosts have joined by, until they expire (invitations.ts). Absent: none. */
  readonly invitations?: readonly UsedInvitation[];
  /** Cells that are to be the coordinator before others, in this order. Absent: none. */
  readonly preferred?: readonly string[];
  /** Services of the group: who does them. Absent: the first cell does all (cluster/group/singletons.ts). */
  readonly singletons?: readonly Singleton[];
  /** How long a cell is waited for that is down, before others get what it had. Absent: the default (cluster/limits.ts). */
  readonly healAfterMs?: number;
  /** What hosts are to do, and have done lately. Absent: nothing. */
  readonly orders?: readonly HostOrder[];
  /** Who orders a certificate for the gateways now, or has done so last. Absent: nobody has. */
  readonly certificateOrder?: CertificateOrder;
  /** Absent: all gateways are in service. */
  readonly drainingGateways?: readonly DrainingGateway[];
  /** Lines of one cell. */
  readonly lineCount: number;
  /** The first one is stated where cells are deployed, and stays. */
  readonly domains: readonly Domain[];
  /** Those of them that were added while the cluster ran (domains.ts). Absent: none. */
  readonly addedDomains?: readonly Domain[];
  /** Gateways that have another weight than 1. Absent: none. */
  readonly gateways?: readonly MapGateway[];
  /**
   * Hosts that mean the first domain: the cluster addresses, as phones may dial `sip:bob@192.0.2.1`: each as `host` and as `host:port`.
   * Lower case, IPv6 in brackets.
   */
  readonly aliases: readonly string[];
  readonly heartbeat: { readonly periodMs: number; readonly missed: number };
  /** `enabled` false: replicas keep to themselves, to measure what replication costs. Absent: they are pairs. */
  readonly replication: { readonly ackTimeoutMs: number; readonly enabled?: boolean };
  /** How long a change may be on no disk. While two replicas have it, each of both disks may be behind by twice that. */
  readonly flushMs: number;
  /** How a request is answered with a token of ours that names an exchange or a cell that does not exist. Absent: 404. */
  readonly unknownTokenStatus?: number;
  /** Wrong passwords that one address may send at once (auth/guess-brake.ts); 0: as many as it likes. Absent: the default. */
  readonly failedLogins?: number;
  /** How long records of calls are kept, and how many at most; 0 of either: none are made. Absent: the defaults. */
  readonly callRecords?: { readonly days: number; readonly most: number };
};

/** The exchange that serves an address-of-record (canonical form, see address-of-record.ts). */
export function exchangeOf(map: ClusterMap, addressOfRecord: string): number {
  const key = map.hashKey === undefined ? undefined : spelledOf(map).hashKey;
  if (key === undefined) return fnv1a(addressOfRecord) % map.exchangeCount;
  // A name of other characters than octets is nobody's. It is only asked for.
  const octets = noOctets.test(addressOfRecord) ? addressOfRecord.replaceAll(new RegExp(noOctets, "g"), "?") : addressOfRecord;
  return Number.parseInt(sipHash(key, octets).slice(0, hashDigits), 36) % map.exchangeCount;
}

// oxlint-disable-next-line no-control-regex -- octets as they come
const noOctets = /[^\0-\xff]/;
/** The lower half of a hash, 32 bits. */
const hashDigits = 7;

/** The two cells of an exchange, primary first; the same cell twice where there is only one. */
export function pairOf(map: ClusterMap, exchange: number): Assignment {
  return map.assignments?.[exchange] ?? firstPairOf(map, exchange);
}

/**
 * The two cells that an exchange had at first, before anything was assigned: they follow from the number and order of the cells. Neighbouring exchanges of
 * one primary have different seconds: a dead cell's load spreads over all the others.
 */
export function firstPairOf({ cells, founders }: Pick<ClusterMap, "cells" | "founders">, exchange: number): Assignment {
  const count = founders?.length ?? cells.length;
  const first = exchange % count;
  const second = count === 1 ? first : (first + 1 + (Math.floor(exchange / count) % (count - 1))) % count;
  const primary = founders?.[first] ?? cells[first]?.id;
  const secondary = founders?.[second] ?? cells[second]?.id;
  if (primary === undefined || secondary === undefined) throw new RangeError("a cluster map without cells");
  return { primary, secondary };
}

/**
 * The domain that a host and port mean. It is a domain of ours (whatever the port), or an alias of the first one, as it stands in the map
 * (`192.0.2.1`, `192.0.2.1:5060`). Undefined: anybody else's. The port counts for aliases because a phone may have the same address as a gateway, as
 * on one machine. Hosts are compared in one spelling: see {@link oneSpelling}.
 */
export function domainOf(map: ClusterMap, host: string, port?: number): Domain | undefined {
  const name = oneSpelling(host);
  const [first] = map.domains;
  if (first?.name === name) return first;
  const other = map.domains.length > 1 ? spelledOf(map).domains.get(name) : undefined;
  if (other !== undefined) return other;
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

/** The domains of a map by name; its aliases, and their hosts alone, in one spelling; and the key of its hash as numbers. */
type Spelled = {
  readonly domains: ReadonlyMap<string, Domain>;
  readonly aliases: ReadonlySet<string>;
  readonly hosts: ReadonlySet<string>;
  readonly hashKey: SipHashKey | undefined;
};

const spelled = new WeakMap<ClusterMap, Spelled>();

/** Made once for a map: it is asked for each caller from outside. */
function spelledOf(map: ClusterMap): Spelled {
  let known = spelled.get(map);
  if (known === undefined) {
    const aliases = map.aliases.map((each) => aliasOf(each));
    known = {
      domains: new Map(map.domains.map((domain) => [domain.name, domain])),
      aliases: new Set(aliases),
      hosts: new Set(aliases.map((each) => hostOfAlias(each))),
      hashKey: hashKeyOf(map),
    };
    spelled.set(map, known);
  }
  return known;
}

function hashKeyOf({ hashKey }: ClusterMap): SipHashKey | undefined {
  if (hashKey === undefined) return undefined;
  return sipHashKeyOf(Uint8Array.from(hashKey.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)));
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
