import type { ClusterMap } from "../cluster/map/cluster-map.ts";
import { writtenMapSchema } from "../schemas/cluster-map.ts";
import { read } from "../schemas/reading.ts";
import type { CoreGroupObject } from "./core-group/core-group-object.ts";
import type { ExchangeObject } from "./exchange/exchange-object.ts";
import type { LineObject } from "./line/line-object.ts";

/** What a cell's Worker is given: see wrangler.toml; `tandem up` gives the same to its workerd processes. */
export type Environment = {
  /** The cell's id in the cluster map. */
  readonly CELL: string;
  /** The {@link ClusterMap} as JSON text. */
  readonly CLUSTER: string;
  /** Shared by all cells and gateways: signs requests between them, tokens and nonces. */
  readonly TANDEM_SECRET: string;
  /**
   * Softphones that this cell may have at once, a whole number. `tandem up` knows how many file descriptors workerd may open, and what it does when
   * there is none. Absent on Cloudflare, which has enough.
   */
  readonly SOFTPHONES_MAX?: string;
  /** A directory on the disk of the objects, where files show whether there is room: `tandem up` only. Absent on Cloudflare. */
  readonly DISK?: Fetcher;
  readonly EXCHANGE: DurableObjectNamespace<ExchangeObject>;
  readonly LINE: DurableObjectNamespace<LineObject>;
  readonly CORE_GROUP: DurableObjectNamespace<CoreGroupObject>;
  /** `CELL_B`: a service binding to cell b, where both run on Cloudflare. */
  readonly [binding: `CELL_${string}`]: Fetcher | undefined;
};

/** The map that was read last. All requests and objects of a process have the same text of it. */
let latest: { readonly text: string; readonly map: ClusterMap } | undefined;

/** The cluster map that this cell was configured with. A broken one throws: nothing can be served without it. */
export function clusterMapOf({ CLUSTER }: Environment): ClusterMap {
  if (latest?.text === CLUSTER) return latest.map;
  const { value, fault } = read(writtenMapSchema, clusterJsonOf(CLUSTER));
  if (fault !== undefined) throw new TypeError(`CLUSTER: ${fault.path === "" ? "" : `${fault.path} `}${fault.reason}`);
  latest = { text: CLUSTER, map: value };
  return value;
}

function clusterJsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TypeError(`CLUSTER: is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Names of objects: one exchange, line or core group is one object of its cell. */
export function exchangeName(exchange: number): string {
  return `exchange-${exchange}`;
}

export function lineName(line: number): string {
  return `line-${line}`;
}

export const coreGroupName = "core-group";

/** The number at the end of an object's name. Objects are only ever reached by name, so a missing one is a broken invariant. */
export function numberOfName(id: DurableObjectId): number {
  const number = Number(id.name?.slice(id.name.lastIndexOf("-") + 1));
  if (!Number.isInteger(number)) throw new Error(`object ${id.name ?? id.toString()} has no number in its name`);
  return number;
}
