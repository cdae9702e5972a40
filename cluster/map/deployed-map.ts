import type { ClusterMap, MapCell } from "./cluster-map.ts";
import { isAdded, withAdded } from "./domains.ts";
import { withExchangesOf } from "./doubling.ts";
import { isNewer, mapVersionOf } from "./map-version.ts";
import { revokedIn } from "./members.ts";
import { assignmentsOf } from "./serving-cells.ts";

/**
 * What a map says of both kinds. The operator states domains and the like when a cell is deployed. All else is decided while the cluster runs. A kind
 * that a later release has added is of those.
 */
type Parts = { readonly stated: Omit<ClusterMap, keyof Decided>; readonly decided: Decided };
type Decided = Pick<ClusterMap, "version" | "writer" | "statedAt" | "cells" | "exchangeCount" | "assignments" | "heartbeat">;

function partsOf(map: ClusterMap): Parts {
  const { lineCount, domains, aliases, replication, flushMs, failedLogins, callRecords, unknownTokenStatus, ...decided } = map;
  const stated = {
    lineCount,
    domains,
    aliases,
    replication,
    flushMs,
    ...(failedLogins === undefined ? {} : { failedLogins }),
    ...(callRecords === undefined ? {} : { callRecords }),
    ...(unknownTokenStatus === undefined ? {} : { unknownTokenStatus }),
  };
  return { stated, decided };
}

/** The epoch of the map in which the operator stated what only he does. */
export function statedAt({ version, statedAt: at }: Pick<ClusterMap, "version" | "statedAt">): number {
  return at ?? version;
}

/**
 * A map of the cluster as a cell works from it that was deployed with another one. What only the operator states is as it was deployed here, unless
 * the map knows a later statement. So are the URLs of cells: each cell may see the others elsewhere. Where a cell was that was removed since does not
 * count: its name may have been given to another one.
 */
export function asDeployed(map: ClusterMap, deployed: ClusterMap): ClusterMap {
  if (statedAt(map) > statedAt(deployed)) return withAddedDomains(map);
  const { decided } = partsOf(map);
  const isGone = ({ id, url }: MapCell): boolean => (map.formerUrls ?? []).some((former) => former.id === id && former.url === url);
  const places = new Map(deployed.cells.filter((cell) => !isGone(cell)).map((cell) => [cell.id, placeOf(cell)]));
  const cells = map.cells.map((cell) => ({ ...cell, ...places.get(cell.id) }));
  const { stated } = partsOf(deployed);
  return { ...decided, ...stated, domains: withAdded(stated.domains, map.addedDomains), cells, statedAt: statedAt(deployed) };
}

/** A cell of the release before carries what was added, and has only what was stated among the domains. */
function withAddedDomains(map: ClusterMap): ClusterMap {
  return map.addedDomains === undefined ? map : { ...map, domains: withAdded(map.domains, map.addedDomains) };
}

function placeOf({ url, door }: MapCell): Pick<MapCell, "url" | "door"> {
  return { url, ...(door === undefined ? {} : { door }) };
}

/** What a further cell is deployed with, on a machine that knows this map: what the operator has stated, and where it finds the others. */
export function deployedFrom(map: ClusterMap): ClusterMap {
  const { cells, exchangeCount, hashKey, heartbeat, authority, members } = map;
  const revoked = revokedIn(map);
  const { stated } = partsOf(map);
  return {
    ...stated,
    version: 1,
    cells,
    exchangeCount,
    assignments: assignmentsOf(map),
    heartbeat,
    domains: map.domains.filter(({ name }) => !isAdded(map, name)),
    ...(hashKey === undefined ? {} : { hashKey }),
    ...(authority === undefined ? {} : { authority }),
    ...(members === undefined ? {} : { members }),
    ...(revoked.length === 0 ? {} : { revoked }),
  };
}

/** The map that a cell starts with: what its core group has kept, if that is newer than what was deployed. Exchanges do not become fewer by either. */
export function mapAtStart(deployed: ClusterMap, kept: ClusterMap | undefined): ClusterMap {
  if (kept === undefined) return deployed;
  if (!isNewer(mapVersionOf(kept), mapVersionOf(deployed))) return withExchangesOf(deployed, kept);
  return withExchangesOf(withAuthorityOf(asDeployed(kept, deployed), deployed), deployed);
}

/** A system that had none is started with an authority: its members are those of this start. */
function withAuthorityOf(map: ClusterMap, { authority, members = [] }: ClusterMap): ClusterMap {
  return map.authority !== undefined || authority === undefined ? map : { ...map, authority, members };
}
