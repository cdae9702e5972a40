import {
  domainsMax,
  exchangesMax,
  gatewaysWeighedMax,
  lineCountMax,
  mapEpochAheadMax,
  mapEpochMax,
  missedMax,
  periodMsMax,
  periodMsMin,
} from "../limits.ts";
import type { ClusterMap } from "./cluster-map.ts";
import { isDoubledFrom } from "./doubling.ts";
import { membersFault } from "./members.ts";

/**
 * What is wrong with a map, though it has the form of one; undefined: it is sound. Whoever is given another one keeps what he has. `known`: the map that it
 * would take the place of, when it comes from somebody else while the cluster runs.
 */
export function unsoundness(map: ClusterMap, known?: ClusterMap): string | undefined {
  return (
    epochFault(map.version, known?.version) ??
    statementFault(map) ??
    countFault(map, known) ??
    beatFault(map, known) ??
    cellFault(map) ??
    additionFault(map) ??
    membersFault(map)
  );
}

/** What is wrong with the epoch of a map. `known`: that of the map which is known here. */
export function epochFault(epoch: number, known: number = epoch): string | undefined {
  if (epoch > mapEpochMax) return `no version is above ${mapEpochMax}`;
  return epoch - known > mapEpochAheadMax ? `the version is more than ${mapEpochAheadMax} above ${known}, which is known` : undefined;
}

/** What was stated or decided before a map is not newer than it is: it would count for ever. */
function statementFault({ version, statedAt = 0, singletons = [] }: ClusterMap): string | undefined {
  if (statedAt > version) return `it was stated at ${statedAt}, which is after its version ${version}`;
  const early = singletons.find(({ since }) => since.epoch > version);
  return early === undefined ? undefined : `${early.name} has owners since ${early.since.epoch}, which is after its version ${version}`;
}

/**
 * The number of exchanges says where each name is kept. While the cluster runs it is doubled, and nothing else. A cell that was away may have missed more than
 * one doubling. The other side of a cut may not have heard of one that is known here: then those exchanges are added to its map.
 */
function countFault({ exchangeCount, lineCount, doubled }: ClusterMap, known: ClusterMap | undefined): string | undefined {
  if (exchangeCount > exchangesMax) return `${exchangeCount} exchanges are more than ${exchangesMax}`;
  if (lineCount > lineCountMax) return `${lineCount} lines are more than ${lineCountMax}`;
  if (doubled !== undefined && !isDoubledFrom(exchangeCount, doubled.first))
    return `${exchangeCount} exchanges have not come from ${doubled.first}`;
  const isSound =
    known === undefined || isDoubledFrom(exchangeCount, known.exchangeCount) || isDoubledFrom(known.exchangeCount, exchangeCount);
  return isSound ? undefined : `there are ${known.exchangeCount} exchanges, and ${exchangeCount} are neither as many nor doubled from them`;
}

/** What is added while the cluster runs has bounds. */
function additionFault({ addedDomains = [], gateways = [], drainingGateways = [] }: ClusterMap): string | undefined {
  if (drainingGateways.length > gatewaysWeighedMax)
    return `${drainingGateways.length} gateways that are drained are more than ${gatewaysWeighedMax}`;
  if (addedDomains.length > domainsMax) return `${addedDomains.length} added domains are more than ${domainsMax}`;
  return gateways.length > gatewaysWeighedMax ? `${gateways.length} weights of gateways are more than ${gatewaysWeighedMax}` : undefined;
}

/** Cells do not understand each other's heartbeats when these are out of bounds. */
function beatFault({ heartbeat: { periodMs, missed } }: ClusterMap, known: ClusterMap | undefined): string | undefined {
  const least = known === undefined ? 0 : Math.min(periodMsMin, known.heartbeat.periodMs);
  if (periodMs < least || periodMs > periodMsMax) return `a heartbeat each ${periodMs} ms is out of bounds`;
  return missed > missedMax ? `${missed} missed heartbeats are more than ${missedMax}` : undefined;
}

/** Each exchange has its two cells, and they are in the map. Two replicas in one cell are one: that is for a map of one cell. */
function cellFault({ cells, assignments, exchangeCount }: ClusterMap): string | undefined {
  const ids = new Set<string>();
  for (const { id, url } of cells) {
    if (ids.has(id)) return `there are two cells ${id}`;
    if (!cellUrl.test(url)) return `the URL of cell ${id} is not of the kind http://host:port`;
    ids.add(id);
  }
  if (assignments === undefined) return undefined;
  if (assignments.length !== exchangeCount) return `there are ${exchangeCount} exchanges, and cells for ${assignments.length}`;
  for (const [exchange, { primary, secondary, joining }] of assignments.entries()) {
    const unknown = [primary, secondary, joining].find((cell) => cell !== undefined && !ids.has(cell));
    if (unknown !== undefined) return `exchange ${exchange} is in cell ${unknown}, which is not in the map`;
    if (primary === secondary && ids.size > 1) return `exchange ${exchange} has one replica only, in cell ${primary}`;
  }
  return undefined;
}

/** Paths are put behind it, for requests and for WebSockets. */
const cellUrl = /^https?:\/\/[^/?#@\s]+(?:\/[^?#\s]*)?$/;
