import { isCount, isTable, isText } from "../json.ts";
import { revokedKeysMax } from "../limits.ts";
import type { ClusterMap } from "../map/cluster-map.ts";
import type { MapVersion } from "../map/map-version.ts";
import { isMemberKey } from "../map/members.ts";
import type { Copy } from "./own-report.ts";
import type { GroupSettings } from "./settings.ts";
import { readSettings } from "./settings.ts";
import type { Cause, MemberState } from "./view.ts";

/**
 * What one cell tells another, as question and as answer: both ways carry the same. It holds what the sender has seen itself, never what it was told.
 * So nothing is passed round after it has ceased to be true.
 */
export type Heartbeat = {
  readonly cell: string;
  /** Random, new with every start of the sender's core group. */
  readonly boot: string;
  /** Counts the sender's heartbeats and answers within one boot: an older one that comes late tells nothing. */
  readonly sequence: number;
  /** The sender's own. */
  readonly state: Exclude<MemberState, "down">;
  readonly epoch: number;
  /** Gateways by the sender's own control sockets. */
  readonly gateways: readonly GatewayReport[];
  /** The epoch of the map that it has, and the settings in it. */
  readonly settings: GroupSettings;
  /** Who wrote that map; empty: it was deployed. Absent: the sender is of a release whose map has nothing that changes but these settings. */
  readonly writer?: string;
  /** The map itself, for one who is known to have an older one. */
  readonly map?: ClusterMap;
  /** Keys of members that were revoked, of which that map does not say it: it comes from another side of a cut. Absent: none. */
  readonly revoked?: readonly string[];
} & Partial<Said>;

/** What the sender says for the coordinator. In a heartbeat a list that is empty is absent, and those of earlier releases have none. */
export type Said = {
  /** Other cells that the sender hears itself. */
  readonly hears: readonly string[];
  /** Exchanges whose replica in the sender's cell has had no second memory for a while. */
  readonly single: readonly number[];
  /** Services of the group that the sender's cell cannot do, though it is up. */
  readonly unfit: readonly string[];
  /** Copies of replicas in the sender's cell that know all, and take the places of secondaries. */
  readonly copies: readonly Copy[];
  /** Exchanges in the sender's cell that have nothing of younger ones any more, while the map is being doubled. */
  readonly handedOver: readonly number[];
  /** Services of which the sender's cell knows a later epoch than the map says: of the other side of a cut. */
  readonly fences: readonly Fence[];
};

export const nothingSaid: Said = { hears: [], single: [], unfit: [], copies: [], handedOver: [], fences: [] };

/** What the sender of a heartbeat says. */
export function saidIn({ hears = [], single = [], unfit = [], copies = [], handedOver = [], fences = [] }: Heartbeat): Said {
  return { hears, single, unfit, copies, handedOver, fences };
}

/** The latest epoch of a service that anybody in a cell may have been told of. */
export type Fence = { readonly name: string; readonly since: MapVersion };

/** The version of the map that the sender of a heartbeat has; undefined: it knows of no changes but those of settings. */
export function versionIn({ settings, writer }: Heartbeat): MapVersion | undefined {
  return writer === undefined ? undefined : { epoch: settings.version, writer };
}

export type GatewayReport = {
  readonly id: string;
  readonly isUp: boolean;
  readonly cause: Cause;
  /** The sender heard it say that it ends. Absent: it did not, or the sender is of an earlier release. */
  readonly hasLeft?: boolean | undefined;
};

/**
 * Reads what came over the network; undefined when it is none. The sender was authenticated, so this is about versions, not malice. `readMap` reads a
 * map; one that it does not take is left out.
 */
export function parseHeartbeat(value: unknown, readMap: (value: unknown) => ClusterMap | undefined): Heartbeat | undefined {
  if (!isTable(value)) return undefined;
  const { cell, boot, sequence, state, epoch, gateways, settings, writer } = value;
  const read = readSettings(settings);
  if (typeof cell !== "string" || typeof boot !== "string" || !isCount(sequence) || !isCount(epoch) || read === undefined) return undefined;
  if (state !== "joining" && state !== "up" && state !== "draining") return undefined;
  if (!Array.isArray(gateways) || !gateways.every(isReport)) return undefined;
  const map = value["map"] === undefined ? undefined : readMap(value["map"]);
  return {
    cell,
    boot,
    sequence,
    state,
    epoch,
    gateways,
    settings: read,
    ...(typeof writer === "string" ? { writer } : {}),
    ...(map === undefined ? {} : { map }),
    ...keysIn(value["revoked"]),
    ...listOf("hears", value["hears"], isText),
    ...listOf("single", value["single"], isCount),
    ...listOf("unfit", value["unfit"], isText),
    ...listOf("copies", value["copies"], isCopy),
    ...listOf("handedOver", value["handedOver"], isCount),
    ...listOf("fences", value["fences"], isFence),
  };
}

/** A list that says something; one that a later release has made another thing of is left out. */
function listOf<Key extends string, Item>(
  key: Key,
  value: unknown,
  isItem: (item: unknown) => item is Item,
): { readonly [key in Key]?: Item[] } {
  const list: unknown[] = Array.isArray(value) ? value : [];
  return list.length > 0 && list.every((item) => isItem(item)) ? ({ [key]: list } as { readonly [key in Key]?: Item[] }) : {};
}

/** More than anybody can know of are none. */
function keysIn(value: unknown): { readonly revoked?: readonly string[] } {
  return Array.isArray(value) && value.length > revokedKeysMax ? {} : listOf("revoked", value, isMemberKey);
}

function isCopy(value: unknown): value is Copy {
  return isTable(value) && isCount(value["exchange"]) && isText(value["cell"]);
}

function isFence(value: unknown): value is Fence {
  const since = isTable(value) ? value["since"] : undefined;
  return isTable(value) && isText(value["name"]) && isTable(since) && isCount(since["epoch"]) && isText(since["writer"]);
}

function isReport(value: unknown): value is GatewayReport {
  return isTable(value) && typeof value["id"] === "string" && typeof value["isUp"] === "boolean" && typeof value["cause"] === "string";
}
