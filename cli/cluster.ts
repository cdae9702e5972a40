import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { hostInUri } from "../sip/host-in-uri.ts";
import { callRecordDaysDefault, callRecordsMostDefault } from "../cluster/limits.ts";
import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { whyNoHost } from "../cluster/map/domains.ts";
import { UsageError } from "./errors.ts";
import { type Layout, advertisedHostsOf, letterOf, mapCellOf } from "./layout.ts";
import { type Settings, firstStart, isWildcard } from "./settings.ts";
import type { ClusterSettings } from "./state-directory.ts";

/**
 * What the cluster is to be: what was asked for, else what the state directory was made with, else the defaults of a first start.
 * The places of all records are computed from these, so data made with others would not be found: a conflict is a {@link UsageError}.
 */
export function clusterSettingsOf(settings: Settings, known: ClusterSettings | undefined): ClusterSettings {
  const letters = known?.letters;
  if (known !== undefined && letters !== undefined && settings.cells !== undefined && settings.cells !== known.cells) {
    const has = `${settings.state} has the cells ${letters.join(", ")} by now`;
    throw new UsageError(`--cells ${settings.cells}: ${has}; tandem cell add and tandem cell remove change them while it runs`);
  }
  const asked = { domain: settings.domain, exchanges: settings.exchanges, cells: settings.cells };
  for (const key of ["domain", "exchanges", "cells"] as const) {
    if (known === undefined || asked[key] === undefined || asked[key] === known[key]) continue;
    const made = `was made with --${key} ${known[key]}; use another --state`;
    const what = key !== "domain" && known.changed?.includes(key) === true ? changedText(key, known[key]) : made;
    throw new UsageError(`--${key} ${asked[key]}: ${settings.state} ${what}`);
  }
  const offered = offeredIn(settings, known);
  if (known !== undefined) return { ...known, ...offered };
  const fault = advertisingFault(settings, asked.domain ?? firstStart.domain);
  if (fault !== undefined) throw new UsageError(fault);
  const cells = asked.cells ?? firstStart.cells;
  // A cell without an exchange would serve nobody.
  const exchanges = asked.exchanges ?? Math.max(firstStart.exchanges, cells);
  if (exchanges < cells)
    throw new UsageError(`--exchanges ${exchanges}: ${cells} cells need as many at least, or some of them serve nobody; 8 are as good`);
  return { domain: asked.domain ?? firstStart.domain, exchanges, cells, ...offered };
}

/** With another number of cells or exchanges, which a command has made. */
export function withChanged(known: ClusterSettings, what: "cells" | "exchanges", number: number): ClusterSettings {
  return { ...known, [what]: number, changed: [...new Set([...(known.changed ?? []), what])] };
}

function changedText(what: "cells" | "exchanges", number: number): string {
  const why = what === "cells" ? "cells were added or removed" : "they were doubled";
  return `has ${number} ${number === 1 ? what.slice(0, -1) : what} now (${why}): leave --${what} away`;
}

/** Whether this machine is offered to others, which makes an authority: what was asked for, or what it was before. It may be asked for later, or be another address. */
function offeredIn({ listen, name, state }: Settings, known: ClusterSettings | undefined): Pick<ClusterSettings, "listen" | "host"> {
  if (name !== undefined && known?.host !== undefined && known.host !== name)
    throw new UsageError(`--name ${name}: ${state} is of host ${known.host}, and the others know it by that`);
  if (name !== undefined && listen === undefined && known?.host === undefined)
    throw new UsageError(`--name ${name}: is for a machine that is offered to others, with --listen`);
  if (listen === undefined) return {};
  return { listen, host: known?.host ?? name ?? hostNameOf(hostname()) };
}

/** What this machine is called among members. Cells have letters for names, and gateways begin with g. */
export function hostNameOf(name: string): string {
  const plain = name
    .toLowerCase()
    .replaceAll(/[^0-9a-z]+/g, "-")
    .replaceAll(/^-|-$/g, "");
  return plain.length < 2 || /^g\d+$/.test(plain) ? `host-${plain === "" ? "1" : plain}` : plain.slice(0, 32);
}

/** What is wrong with the name that phones use for a gateway: it is the SIP domain. Undefined: nothing. */
export function advertisingFault({ advertise }: Pick<Settings, "advertise">, domain: string): string | undefined {
  return advertise === domain ? `--advertise ${advertise}: is the SIP domain; give this machine another name: ${whyNoHost}` : undefined;
}

/** The letters of the cells of this machine. */
export function lettersOf({ cells, letters }: Pick<ClusterSettings, "cells" | "letters">): readonly string[] {
  return letters ?? Array.from({ length: cells }, (_, index) => letterOf(index));
}

/** What a state directory is made with, beside what was asked for: a key of its own. One that is known stays as it is. */
export function withHashKey(cluster: ClusterSettings, known: ClusterSettings | undefined): ClusterSettings {
  return known === undefined ? { ...cluster, hashKey: randomBytes(16).toString("hex") } : cluster;
}

/** Lines of each cell: what a few hundred softphones need on one machine. */
const lineCount = 4;

/** How long an exchange's disk may be behind its memory. */
export const flushMs = 1_000;

/** The map that cells are started with. */
export function clusterMapOf(cluster: ClusterSettings, settings: Settings, layout: Layout): ClusterMap {
  // What phones may dial as a domain: every address that leads here.
  const hosts = new Set(
    [settings.host, ...advertisedHostsOf(settings), settings.httpHost ?? settings.host].filter((host) => !isWildcard(host)),
  );
  const ports = new Set([...layout.gateways.flatMap(({ listeners }) => listeners), ...layout.cells].map(({ port }) => port));
  return {
    version: 1,
    cells: layout.cells.map((cell) => mapCellOf(cell, cluster.host)),
    exchangeCount: cluster.exchanges,
    ...(cluster.hashKey === undefined ? {} : { hashKey: cluster.hashKey }),
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
    ...callRecordsOf(settings),
  };
}

/** Nothing where nothing is asked for: the defaults are the cells'. */
function callRecordsOf({ callRecordDays, callRecordsMost }: Settings): Pick<ClusterMap, "callRecords"> {
  if (callRecordDays === undefined && callRecordsMost === undefined) return {};
  return { callRecords: { days: callRecordDays ?? callRecordDaysDefault, most: callRecordsMost ?? callRecordsMostDefault } };
}
