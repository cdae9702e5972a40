import { hostInUri } from "../../sip/host-in-uri.ts";
import { oneSpelling, parseIpv4, parseIpv6 } from "../../sip/message/ip-address.ts";
import { type Member, memberOf, type MembersOfMap } from "./members.ts";

/** A member, and the addresses that its certificate is to name. */
type Addressed = Omit<Member, "key"> & { readonly addresses: readonly string[] };

/**
 * Why no certificate may name these addresses; undefined: one may. Whoever has one passes for who is there. Nobody connects to a gateway, or to a host without a
 * cell: theirs name none. A machine whose cells the map knows is where those are. Another one says where it is, and nobody is there yet. `isWithoutCell`: no host
 * of these has a cell, or is about to have one.
 */
export function addressesFault(map: MembersOfMap, members: readonly Addressed[], isWithoutCell: boolean): string | undefined {
  for (const { id, kind, host, addresses } of members) {
    if (addresses.length === 0) continue;
    if (kind === "gateway" || (kind === "host" && isWithoutCell)) return `${id} is a ${kind} that nobody connects to, and has an address`;
    const name = addresses.find((address) => parseIpv4(address) === undefined && parseIpv6(address) === undefined);
    if (name !== undefined) return `${id} asks for ${name}, which is no IP address`;
    const nobodys = addresses.find(isNoMachines);
    if (nobodys !== undefined) return `${id} asks for ${nobodys}, which is no address of a machine`;
    const fault = placeFault(map, host, addresses.map(spelled));
    if (fault !== undefined) return `${id} asks for ${fault}`;
  }
  const hosts = Map.groupBy(members, ({ host }) => host);
  for (const [host, of] of hosts) {
    const all = new Set(of.flatMap(({ addresses }) => addresses.map(spelled)));
    if (all.size > 1) return `host ${host} asks for ${[...all].join(" and ")}: a machine has one address`;
  }
  return undefined;
}

function placeFault(map: MembersOfMap, host: string, addresses: readonly string[]): string | undefined {
  const places = map.cells.map(({ id, url }) => ({ id, address: spelledHostOf(url), host: hostOfCell(map, id) }));
  const own = places.filter((each) => each.host === host);
  const strange = addresses.find((address) => own.length > 0 && own.every((each) => each.address !== address));
  if (strange !== undefined) return `${strange}, and the cells of host ${host} are at ${own[0]?.address ?? ""}`;
  const other = places.find((each) => own.length === 0 && addresses.includes(each.address));
  return other === undefined ? undefined : `${other.address}, where cell ${other.id} is`;
}

/** Undefined: nobody knows, so the place of such a cell is given to nobody. */
function hostOfCell(map: MembersOfMap, cell: string): string | undefined {
  const member = memberOf(map, cell);
  return member?.kind === "cell" ? member.host : undefined;
}

function spelled(address: string): string {
  return oneSpelling(hostInUri(address));
}

/**
 * An address that no machine has for others: none (RFC 1122 3.2.1.3), multicast, broadcast and reserved, or of one link alone (RFC 3927, RFC 4291 2.5.6). The
 * loopback is no such address: a system for trying may be there. `address`: of IPv6 in brackets or without.
 */
export function isNoMachines(address: string): boolean {
  const spelling = oneSpelling(/^[^[].*:/.test(address) ? `[${address}]` : address);
  const [a = 0, b = 0] = parseIpv4(spelling) ?? [];
  if (!spelling.startsWith("[")) return a === 0 || a >= 224 || (a === 169 && b === 254);
  const groups = parseIpv6(spelling.slice(1, -1)) ?? [];
  const [first = 0] = groups;
  return groups.every((group) => group === 0) || first >= 0xff00 || (first >= 0xfe80 && first <= 0xfebf);
}

/** The host of a cell's URL, which is of the form that `sound-map.ts` takes. */
export function spelledHostOf(url: string): string {
  const [, host = ""] = /^https?:\/\/(\[[^\]]*\]|[^/:]*)/.exec(url) ?? [];
  return oneSpelling(host);
}
