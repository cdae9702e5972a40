import { type ClusterMap, pairOf } from "../sip/placement/cluster-map.ts";
import { type FrameRecord, type Hello, RecordKind } from "../sip/transport/frame.ts";
import type { Counters } from "./counters.ts";
import { heartbeatDefault, trunkHoldMs } from "./limits.ts";
import type { Log } from "./log.ts";
import { TrunkLink } from "./trunk-link.ts";

export type TrunksOptions = {
  readonly gateway: string;
  readonly secret: string;
  readonly hello: Hello;
  /** URLs from the configuration win over the map's: this machine may see a cell elsewhere than others do. */
  readonly cellUrls: ReadonlyMap<string, string>;
  readonly counters: Counters;
  readonly log: Log;
};

export type TrunksHandlers = {
  /** Records arrived from an exchange. */
  receive(link: TrunkLink, records: readonly FrameRecord[]): void;
  /** Records that no exchange took in time: requests among them must be answered. */
  abandoned(records: readonly FrameRecord[]): void;
  /** Records of a trunk that the new map does not have: to be placed anew. */
  displaced(records: readonly FrameRecord[]): void;
};

/** How often records that wait for a lost trunk are looked at. */
const expiryMs = 250;

/** The trunks to both replicas of every exchange in the map, and which of the two a message goes to. */
export class Trunks {
  readonly #options: TrunksOptions;
  readonly #handlers: TrunksHandlers;
  readonly #links = new Map<string, TrunkLink>();
  #map: ClusterMap | undefined;
  #dirty = new Set<TrunkLink>();
  #flush: NodeJS.Immediate | undefined;
  #heart: NodeJS.Timeout | undefined;
  readonly #expiry: NodeJS.Timeout;

  constructor(options: TrunksOptions, handlers: TrunksHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#expiry = setInterval(() => this.#expire(Date.now()), expiryMs);
    this.#beatEvery(heartbeatDefault.periodMs);
  }

  /** The newest cluster map; undefined before the first. */
  get map(): ClusterMap | undefined {
    return this.#map;
  }

  /** True when at least one exchange can be reached. */
  get isReachable(): boolean {
    for (const link of this.#links.values()) if (link.isUp) return true;
    return false;
  }

  /**
   * The trunk for a message of this exchange. A token's cell is preferred while it is one of the pair: the transaction is there. Else it is
   * the primary's, whether it is up or not: what is offered to a trunk that is down is held and replayed.
   */
  choose(exchange: number, cell: string | undefined): TrunkLink | undefined {
    const map = this.#map;
    if (map === undefined) return undefined;
    const { primary, secondary } = pairOf(map, exchange);
    return this.#links.get(`${exchange} ${cell === secondary ? secondary : primary}`);
  }

  /** Makes the trunks fit a new map. Those that stay are not touched. */
  update(map: ClusterMap, now: number): void {
    this.#map = map;
    this.#beatEvery(map.heartbeat.periodMs);
    const wanted = new Set<string>();
    const urls = new Map(map.cells.map((cell) => [cell.id, this.#options.cellUrls.get(cell.id) ?? cell.url]));
    const displaced: FrameRecord[] = [];
    for (let exchange = 0; exchange < map.exchangeCount; exchange += 1) {
      const { primary, secondary } = pairOf(map, exchange);
      for (const id of new Set([primary, secondary])) {
        const key = `${exchange} ${id}`;
        const url = urls.get(id) ?? "";
        wanted.add(key);
        const present = this.#links.get(key);
        if (present?.url === url) continue;
        if (present !== undefined) displaced.push(...present.stop());
        const link = this.#newLink(exchange, { id, url });
        this.#links.set(key, link);
        link.start(now);
      }
    }
    for (const [key, link] of this.#links) {
      if (wanted.has(key)) continue;
      this.#links.delete(key);
      displaced.push(...link.stop());
    }
    if (displaced.length > 0) this.#handlers.displaced(displaced);
  }

  /** Tells the exchanges that a connection is gone. `links` undefined: all of them. */
  tellClosed(flowKey: string, links: ReadonlySet<TrunkLink> | undefined, now: number): void {
    const record = { kind: RecordKind.closed, key: flowKey, octets: new Uint8Array(0) };
    // A trunk that holds too much forgets it: the exchange will learn it by the first message that is undeliverable.
    for (const link of links ?? this.#links.values()) link.offer(record, now);
  }

  stop(): void {
    clearInterval(this.#expiry);
    clearInterval(this.#heart);
    clearImmediate(this.#flush);
    this.#flush = undefined;
    for (const link of this.#links.values()) link.stop();
    this.#links.clear();
  }

  #newLink(exchange: number, cell: { readonly id: string; readonly url: string }): TrunkLink {
    const { gateway, secret, hello, counters, log } = this.#options;
    return new TrunkLink(
      { exchange, cell, gateway, secret, hello, counters, log },
      {
        receive: (link, records) => this.#handlers.receive(link, records),
        dirty: (link) => this.#markDirty(link),
      },
    );
  }

  /** Frames leave at the end of the event loop's turn: what came in one turn goes in one frame, and nothing waits for it. */
  #markDirty(link: TrunkLink): void {
    this.#dirty.add(link);
    this.#flush ??= setImmediate(() => {
      this.#flush = undefined;
      const dirty = this.#dirty;
      this.#dirty = new Set();
      const now = Date.now();
      for (const each of dirty) each.flush(now);
    });
  }

  #beatEvery(periodMs: number): void {
    clearInterval(this.#heart);
    this.#heart = setInterval(() => {
      const missedMax = this.#map?.heartbeat.missed ?? heartbeatDefault.missed;
      const now = Date.now();
      for (const link of this.#links.values()) link.beat(missedMax, now);
    }, periodMs);
  }

  #expire(now: number): void {
    for (const link of this.#links.values()) {
      if (link.downFor(now) === 0) continue;
      const abandoned = link.takeOfferedBefore(now - trunkHoldMs);
      if (abandoned.length > 0) this.#handlers.abandoned(abandoned);
    }
  }
}
