import { createHash } from "node:crypto";
import { exchangeOf, pairOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { isNewer, mapVersionOf } from "../../cluster/map/map-version.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import type { Listener } from "../../sip/flow/flow.ts";
import { fnv1a } from "../../sip/flow/token.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import type { Aims } from "./aimed-faults.ts";
import type { CallPlan } from "./call.ts";
import type { Cell } from "./cell.ts";
import type { Fault } from "./faults.ts";
import type { Datagrams, Gateway } from "./gateway.ts";
import { Moments } from "./moments.ts";
import { Network } from "./network.ts";
import { Overtaking } from "./overtaking.ts";
import type { Phone } from "./phone.ts";
import type { Random } from "./random.ts";
import type { Doing, Done } from "./repertoire.ts";
import type { World } from "./world.ts";

export const domain = "example.test";

/** All that is there. */
export class Cluster {
  readonly world: World;
  readonly network: Network;
  /** What cells are deployed with. */
  readonly deployed: ClusterMap;
  /** The newest that any cell knows. */
  map: ClusterMap;
  /** Cells that have, or had, a replica, by exchange and id. */
  readonly #hosts = new Set<string>();
  /** The newest maps, since when each was known, true time. */
  readonly #history: { readonly since: number; readonly map: ClusterMap }[] = [];
  readonly cells: Cell[] = [];
  readonly gateways: Gateway[] = [];
  readonly overtaking = new Overtaking();
  readonly done: Done[] = [];
  readonly moments = new Moments();
  /** Faults that wait for their moment; undefined: there are none. */
  aims: Aims | undefined;
  /** Nonces that a phone has answered again when they were more than ten seconds old. */
  readonly oldNonces = new Set<string>();
  /** Kinds of faults that are planned and do not come. */
  readonly leftOut = new Set<Fault["kind"]>();
  /** Call-IDs of which a CANCEL came to a phone before the INVITE, or when that was over. */
  readonly cancelsRefused = new Set<string>();
  /** Call-IDs of which a phone got a second INVITE with another CSeq, after it had rung for the first. */
  readonly invitedAnew = new Set<string>();
  /** Records that a later version has left on the disk of exchange 0. */
  readonly fromTheFuture: StateRecord[] = [];
  /** Who has done a service of the group, by its name and the epoch of it. */
  readonly owners = new Map<string, Set<string>>();
  /** Refusals of INVITEs that were sent as datagrams, copies counted, by Call-ID. */
  readonly refusalsSent = new Map<string, number>();
  /** Phones that datagrams reach, by `address:port`. */
  readonly plans = new Map<string, CallPlan>();
  readonly phones: Phone[] = [];
  readonly datagrams = new Map<string, Datagrams>();

  constructor(world: World, map: ClusterMap) {
    this.world = world;
    this.network = new Network(world);
    this.deployed = map;
    this.map = map;
    this.#history.push({ since: 0, map });
    this.#note(map);
  }

  /** A cell has a map that nobody had before, perhaps. */
  learn(map: ClusterMap): void {
    this.#note(map);
    if (!isNewer(mapVersionOf(map), mapVersionOf(this.map))) return;
    const { assignments = [] } = this.map;
    if (assignments.some(({ joining }, exchange) => joining !== undefined && pairOf(map, exchange).secondary === joining))
      this.moments.reached("a replica takes another's place that was told everything before");
    this.map = map;
    this.#history.push({ since: this.world.now, map });
  }

  /** The cells that served the exchange of an address-of-record within a time, two by two. */
  pairsOf(addressOfRecord: string, from: number, until: number): string[][] {
    const maps = this.#history.filter(({ since }, index) => since <= until && (this.#history[index + 1]?.since ?? from) >= from);
    return maps.map(({ map }) => [...servingCells(map, exchangeOf(map, addressOfRecord))]);
  }

  /** Whether a cell has a replica of an exchange by any map so far. */
  hadReplica(exchange: number, { id }: Cell): boolean {
    return this.#hosts.has(`${exchange} ${id}`);
  }

  #note(map: ClusterMap): void {
    for (let exchange = 0; exchange < map.exchangeCount; exchange += 1)
      for (const id of [...servingCells(map, exchange), pairOf(map, exchange).joining]) this.#hosts.add(`${exchange} ${id ?? ""}`);
  }

  get random(): Random {
    return this.world.random;
  }

  notes(what: Doing): void {
    this.done.push({ what, at: this.world.now });
  }

  cell(id: string): Cell {
    const found = this.cells.find((cell) => cell.id === id);
    if (found === undefined) throw new Error(`no cell ${id}`);
    return found;
  }

  /** Those that serve an exchange, or the exchange of an address-of-record. */
  pairOf(served: number | string): Cell[] {
    const exchange = typeof served === "number" ? served : exchangeOf(this.map, served);
    return servingCells(this.map, exchange).map((id) => this.cell(id));
  }

  /** Those of the map that have not died for good. */
  get living(): Cell[] {
    return this.cells.filter(({ id, isLost }) => !isLost && this.map.cells.some((cell) => cell.id === id));
  }

  /** Those of them that are to have exchanges: the operator takes out the others. */
  get staying(): Cell[] {
    return this.living.filter(({ id }) => this.map.cells.some((cell) => cell.id === id && cell.weight !== 0));
  }

  gateway(name: string): Gateway {
    const found = this.gateways.find((gateway) => gateway.host.name === name);
    if (found === undefined) throw new Error(`no gateway ${name}`);
    return found;
  }
}

/** `auth`: whether phones are asked for their passwords. `hasRecords`: what becomes of calls is noted. */
export function clusterMap(
  cells: readonly string[],
  exchangeCount: number,
  addresses: readonly string[],
  auth: "digest" | "open" = "open",
  hasRecords = true,
): ClusterMap {
  return {
    version: 1,
    cells: cells.map((id, index) => ({ id, url: `http://127.0.0.1:${8801 + index}` })),
    exchangeCount,
    lineCount: 1,
    domains: [{ name: domain, auth }],
    aliases: addresses.flatMap((host) => [host, `${host}:5060`]),
    heartbeat: { periodMs: 1_000, missed: 3 },
    replication: { ackTimeoutMs: 200 },
    flushMs: 1_000,
    ...(hasRecords ? {} : { callRecords: { days: 0, most: 0 } }),
  };
}

export function lineListeners(map: ClusterMap): readonly Listener[] {
  const host = map.domains[0]?.name ?? "invalid";
  return [
    { transport: "WS", host, port: 80 },
    { transport: "WSS", host, port: 443 },
  ];
}

export function passwordOf(user: string): string {
  return `the word of ${user}`;
}

/** Keyed enough for a world without forgers, and quick. */
export function simulatedSign(text: string): string {
  return fnv1a(`one${text}`).toString(36).padStart(7, "0") + fnv1a(`other${text}`).toString(36).padStart(7, "0");
}

export function simulatedHash(algorithm: "MD5" | "SHA-256", text: string): string {
  return createHash(algorithm === "MD5" ? "md5" : "sha256")
    .update(text, "latin1")
    .digest("hex");
}
