import { parseIpv4, parseIpv6 } from "../../sip/message/ip-address.ts";
import { formerCellsMax } from "../limits.ts";
import type { ClusterMap, MapCell } from "./cluster-map.ts";
import { isNoMachines, spelledHostOf } from "./member-addresses.ts";
import { memberOf } from "./members.ts";

export type CellPlace = Pick<MapCell, "id" | "url" | "door">;

/**
 * What a map says when the cells of a machine are at another address. They keep what they have. Where they were is noted: whoever was deployed with that does not
 * look there any more (deployed-map.ts).
 */
export function cellsMoved(
  map: ClusterMap,
  host: string,
  places: readonly CellPlace[],
): Pick<ClusterMap, "cells" | "formerUrls"> | { readonly refused: string } {
  const refused = movingFault(map, host, places);
  if (refused !== undefined) return { refused };
  const cells = map.cells.map((cell) => ({ ...cell, ...places.find(({ id }) => id === cell.id) }));
  const left = map.cells.filter((cell) => cells.every((each) => each.id !== cell.id || each.url !== cell.url));
  const isThere = ({ id, url }: Pick<MapCell, "id" | "url">): boolean => cells.some((cell) => cell.id === id && cell.url === url);
  const isKnown = ({ id, url }: Pick<MapCell, "id" | "url">): boolean => left.some((cell) => cell.id === id && cell.url === url);
  const former = (map.formerUrls ?? []).filter((each) => !isThere(each) && !isKnown(each));
  return { cells, formerUrls: [...former, ...left.map(({ id, url }) => ({ id, url }))].slice(-formerCellsMax) };
}

/** Why these cells of a host cannot be there; undefined: they can. A machine has one address, and no cell of another one may be there. */
function movingFault(map: ClusterMap, host: string, places: readonly CellPlace[]): string | undefined {
  const strange = places.find(({ id }) => !isCellOf(map, host, id));
  if (strange !== undefined) return `cell ${strange.id} does not run on host ${host}`;
  const after = map.cells.map((cell) => ({ id: cell.id, url: places.find(({ id }) => id === cell.id)?.url ?? cell.url }));
  const [own, others] = [after.filter(({ id }) => isCellOf(map, host, id)), after.filter(({ id }) => !isCellOf(map, host, id))];
  const addresses = [...new Set(own.map(({ url }) => spelledHostOf(url)))];
  const [address = ""] = addresses;
  if (addresses.length > 1) return `cells of host ${host} would be at ${addresses.join(" and ")}: a machine has one address`;
  if (parseIpv4(address) === undefined && parseIpv6(address.replace(/^\[(.*)\]$/, "$1")) === undefined)
    return `${address} is no IP address`;
  if (isNoMachines(address)) return `${address} is no address of a machine`;
  // On the loopback each machine finds itself. A system for trying is there as a whole.
  if (isOnLoopback(address) && !others.some(({ url }) => isOnLoopback(spelledHostOf(url))))
    return `the others would look for ${own[0]?.id ?? ""} at ${address} on their own machines`;
  const other = others.find(({ url }) => spelledHostOf(url) === address);
  if (other !== undefined) return `cell ${other.id} is at ${address}`;
  const twice = own.find(({ id, url }) => own.some((each) => each.id !== id && each.url === url));
  if (twice !== undefined) return `two cells would be at ${twice.url}`;
  return places.every(({ url }) => url.startsWith("https://")) ? undefined : "members are reached by https";
}

/** `address`: in one spelling. */
function isOnLoopback(address: string): boolean {
  return address === "[0:0:0:0:0:0:0:1]" || parseIpv4(address)?.[0] === 127;
}

function isCellOf(map: ClusterMap, host: string, id: string): boolean {
  const member = memberOf(map, id);
  return member?.kind === "cell" && member.host === host && map.cells.some((cell) => cell.id === id);
}
