import type { Listener } from "../../sip/flow/flow.ts";
import { domainOctetsMax } from "../../sip/limits.ts";
import { domainsMax } from "../limits.ts";
import { isLocalName, type ClusterMap, type Domain } from "./cluster-map.ts";

/**
 * Domains that are added and removed while the cluster runs. Those that cells are deployed with are the operator's to state there. The added ones spread with
 * the map. `domains` of a map has both, so whoever works from it need not know of the difference.
 */

/** What a change of domains is for the map. */
type DomainChange = Pick<ClusterMap, "domains" | "addedDomains">;

/** All domains: those that were stated, then those that were added since. What is stated of a name counts more than what was added. */
export function withAdded(stated: readonly Domain[], added: readonly Domain[] = []): readonly Domain[] {
  return [...stated, ...added.filter(({ name }) => stated.every((domain) => domain.name !== name))];
}

/** The map's domains with one more, or with another `auth` of one that was added before. */
export function domainAdded(map: ClusterMap, domain: Domain): DomainChange {
  const isOther = ({ name }: Domain): boolean => name !== domain.name;
  return {
    domains: [...map.domains.filter(isOther), domain],
    addedDomains: [...(map.addedDomains ?? []).filter(isOther), domain],
  };
}

export function domainRemoved(map: ClusterMap, name: string): DomainChange {
  const isOther = (domain: Domain): boolean => domain.name !== name;
  return { domains: map.domains.filter(isOther), addedDomains: (map.addedDomains ?? []).filter(isOther) };
}

/** Whether a domain was added by command, and may be changed and removed so. */
export function isAdded(map: ClusterMap, name: string): boolean {
  return map.addedDomains?.some((domain) => domain.name === name) ?? false;
}

/** Why a domain cannot be added; undefined: it can. */
export function addingFault(map: ClusterMap, name: string): string | undefined {
  const fault = domainNameFault(name);
  if (fault !== undefined) return `${name}: ${fault}`;
  if (isAdded(map, name)) return undefined;
  if (map.members?.some(({ kind, id }) => kind === "host" && id.toLowerCase() === name) === true)
    return `${name} is the name of a host: ${whyNoHost}`;
  if (map.domains.some((domain) => domain.name === name)) return `${name} is what cells were started with: who may register is said there`;
  return map.domains.length >= domainsMax ? `there are ${domainsMax} domains, and no more can be added` : undefined;
}

/** Why a domain cannot be removed; undefined: it can. */
export function removingFault(map: ClusterMap, name: string): string | undefined {
  if (isAdded(map, name) || map.domains.every((domain) => domain.name !== name)) return undefined;
  return `${name} is what cells were started with, and stays`;
}

const label = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?";
const domainName = new RegExp(`^${label}(?:\\.${label})*$`);

/** Why a text, in lower case, is not to be a SIP domain; undefined: it may be one. */
export function domainNameFault(name: string): string | undefined {
  if (/^[\d.]+$/.test(name)) return "an address is no domain, for it would end with its machine";
  if (name.length > domainOctetsMax || !domainName.test(name)) return `must be a domain name of at most ${domainOctetsMax} characters`;
  if (isLocalName(name)) return `is what each machine calls itself: ${whyNoHost}`;
  return undefined;
}

/** Why a gateway may not call itself what it does: that is a domain of the map. Undefined: it may. An address is nobody's name. */
export function gatewayNameFault(
  { domains }: Pick<ClusterMap, "domains">,
  listeners: readonly Pick<Listener, "host">[],
): string | undefined {
  const hosts = listeners.map(({ host }) => host.toLowerCase()).filter((host) => !/^(?:[\d.]+|\[.*\])$/.test(host));
  const taken = hosts.find((host) => domains.some(({ name }) => name === host));
  return taken === undefined ? undefined : `it advertises ${taken}, which is a SIP domain: give its machine another name: ${whyNoHost}`;
}

/** A domain that is also a server's name cannot be served by another server when this one is down. */
export const whyNoHost = "a SIP domain must be no machine's name, or phones look for no other when that one is down";
