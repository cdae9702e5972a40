import type { ClusterMap, Domain } from "../../cluster/map/cluster-map.ts";
import type { Fault } from "../../schemas/reading.ts";
import { parseAddressOfRecord } from "../subscribers.ts";
import { accountOf, urlOf, workerOf } from "./cell-place.ts";
import { type Account, type CellOfFile, exchangesDefault, type SystemFile } from "./system-file.ts";
import { faultsOfFile } from "./system-faults.ts";

/** A cell on Cloudflare: an environment of wrangler.toml, which makes one Worker. */
export type CloudCell = {
  readonly id: string;
  readonly kind: "cloudflare";
  readonly url: string;
  readonly worker: string;
  /** What makes its URL its own; absent: workers.dev does. */
  readonly customDomain?: string;
  readonly route?: string;
  /** Absent: that of wrangler's login or token. */
  readonly account?: Account;
  readonly location?: string;
  readonly jurisdiction?: string;
};

/** A cell on a machine of one's own, behind a certificate that Cloudflare knows. */
export type BladeCell = { readonly id: string; readonly kind: "blade"; readonly url: string };

export type Cell = CloudCell | BladeCell;

/** What the file says, with all that it leaves out. */
export type System = {
  readonly domains: readonly Domain[];
  readonly cells: readonly Cell[];
  readonly gateways: NonNullable<SystemFile["gateways"]>;
  readonly secretFile: string;
  /** Whether cells of one account reach each other over service bindings. */
  readonly bindings: boolean;
  /** An address-of-record. */
  readonly firstSubscriber?: string;
  /** The cluster map that every cell is deployed with. */
  readonly map: ClusterMap;
};

const linesDefault = 4;
const secretFileDefault = "tandem.secret";

export function isOnCloudflare(cell: Cell): cell is CloudCell {
  return cell.kind === "cloudflare";
}

/** The other cells of its account, which it reaches over service bindings. */
export function boundTo(cell: CloudCell, { cells, bindings }: Pick<System, "cells" | "bindings">): readonly CloudCell[] {
  return !bindings ? [] : cells.filter(isOnCloudflare).filter((other) => other !== cell && other.account?.id === cell.account?.id);
}

/** The system of a file, or all that is wrong with it. */
export function systemOf(file: SystemFile): { readonly system: System } | { readonly faults: readonly Fault[] } {
  const faults = faultsOfFile(file);
  if (faults.length > 0) return { faults };
  const domains = file.domains.map(({ name, auth = "digest", digest }) => ({ name, auth, ...(digest === undefined ? {} : { digest }) }));
  const cells = file.cells.map((cell) => cellOf(cell, file));
  const { gateways = [], secretFile = secretFileDefault, firstSubscriber, bindings = true } = file;
  return {
    system: {
      domains,
      cells,
      gateways,
      secretFile,
      bindings,
      ...(firstSubscriber === undefined ? {} : { firstSubscriber: parseAddressOfRecord(firstSubscriber, file.domains[0]?.name) }),
      map: mapOf(file, domains, cells),
    },
  };
}

function mapOf(file: SystemFile, domains: readonly Domain[], cells: readonly Cell[]): ClusterMap {
  const { aliases = [], exchanges = exchangesDefault, lines = linesDefault, hashKey, heartbeat, failedLogins, callRecords } = file;
  return {
    version: 1,
    cells: cells.map(({ id, url }) => ({ id, url })),
    exchangeCount: exchanges,
    ...(hashKey === undefined ? {} : { hashKey }),
    lineCount: lines,
    domains,
    aliases,
    heartbeat: heartbeat ?? { periodMs: 1_000, missed: 3 },
    replication: { ackTimeoutMs: 200 },
    flushMs: 1_000,
    ...(failedLogins === undefined ? {} : { failedLogins }),
    ...(callRecords === undefined ? {} : { callRecords }),
  };
}

function cellOf(cell: CellOfFile, file: SystemFile): Cell {
  const url = urlOf(cell);
  if (cell.kind === "blade") return { id: cell.id, kind: "blade", url };
  const { id, customDomain, route, location, jurisdiction } = cell;
  const account = accountOf(cell, file);
  return {
    id,
    kind: "cloudflare",
    url,
    worker: workerOf(cell),
    ...(customDomain === undefined ? {} : { customDomain }),
    ...(route === undefined ? {} : { route }),
    ...(account === undefined ? {} : { account }),
    ...(location === undefined ? {} : { location }),
    ...(jurisdiction === undefined ? {} : { jurisdiction }),
  };
}
