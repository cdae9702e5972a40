import { hostInUri } from "../sip/host-in-uri.ts";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { UsageError } from "./errors.ts";
import { type Layout, advertisedHostOf } from "./layout.ts";
import { type Settings, firstStart, isWildcard } from "./settings.ts";
import type { ClusterSettings } from "./state-directory.ts";

/**
 * What the cluster is to be: what was asked for, else what the state directory was made with, else the defaults of a first start.
 * The places of all records are computed from these, so data made with others would not be found: a conflict is a {@link UsageError}.
 */
export function clusterSettingsOf(settings: Settings, known: ClusterSettings | undefined): ClusterSettings {
  const asked = { domain: settings.domain, exchanges: settings.exchanges, cells: settings.cells };
  for (const key of ["domain", "exchanges", "cells"] as const) {
    if (known === undefined || asked[key] === undefined || asked[key] === known[key]) continue;
    throw new UsageError(`--${key} ${asked[key]}: ${settings.state} was made with --${key} ${known[key]}; use another --state`);
  }
  const base = known ?? firstStart;
  return { domain: asked.domain ?? base.domain, exchanges: asked.exchanges ?? base.exchanges, cells: asked.cells ?? base.cells };
}

/** Lines of each cell: what a few hundred softphones need on one machine. */
const lineCount = 4;

/** How long an exchange's disk may be behind its memory. */
export const flushMs = 1_000;

/** The map that cells are started with. */
export function clusterMapOf(cluster: ClusterSettings, settings: Settings, layout: Layout): ClusterMap {
  // What phones may dial as a domain: every address that leads here.
  const hosts = new Set(
    [settings.host, advertisedHostOf(settings), settings.httpHost ?? settings.host].filter((host) => !isWildcard(host)),
  );
  const ports = new Set([...layout.gateways.flatMap(({ listeners }) => listeners), ...layout.cells].map(({ port }) => port));
  return {
    version: 1,
    cells: layout.cells.map(({ id, url }) => ({ id, url })),
    exchangeCount: cluster.exchanges,
    lineCount,
    domains: [{ name: cluster.domain, auth: settings.auth, digest: settings.digest }],
    aliases: Array.from(hosts, (address) => hostInUri(address).toLowerCase()).flatMap((host) => [
      host,
      ...Array.from(ports, (port) => `${host}:${port}`),
    ]),
    heartbeat: { periodMs: 1_000, missed: 3 },
    replication: { ackTimeoutMs: 200, ...(settings.replication ? {} : { enabled: false }) },
    flushMs,
    ...(settings.failedLogins === undefined ? {} : { failedLogins: settings.failedLogins }),
  };
}
