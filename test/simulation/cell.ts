import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import type { SeenCause, View } from "../../cluster/group/view.ts";
import { CellDisk } from "./cell-disk.ts";
import type { Cluster } from "./cluster.ts";
import { CoreGroup } from "./core-group.ts";
import { ExchangePlace } from "./exchange-place.ts";
import { Host, type Clock } from "./host.ts";
import { LinePlace } from "./line-place.ts";
import type { Line } from "./line.ts";
import type { End, EndHandlers } from "./network.ts";
import type { Replica } from "./replica.ts";

/** A cell: one process with a disk, its core group, its replicas, its lines; each starts when it is needed first, as objects do. */
export class Cell {
  readonly id: string;
  readonly cluster: Cluster;
  readonly host: Host;
  readonly disk: CellDisk;
  readonly #exchanges = new Map<number, ExchangePlace>();
  readonly #lines = new Map<string, LinePlace>();
  #group: CoreGroup | undefined;

  constructor(cluster: Cluster, id: string, clock: Clock) {
    this.cluster = cluster;
    this.id = id;
    this.host = new Host(cluster.world, id, clock);
    this.host.version = 0;
    this.disk = new CellDisk(cluster.world, cluster.moments);
  }

  start(): void {
    this.host.start(() => {
      this.#exchanges.clear();
      this.#lines.clear();
      this.#group = new CoreGroup(this);
      void this.#group.actor;
    });
  }

  get group(): CoreGroup {
    if (this.#group === undefined) throw new Error("no core group");
    return this.#group;
  }

  heartbeat(heartbeat: Heartbeat): Heartbeat {
    return this.group.actor.heartbeat(heartbeat);
  }

  /** The view, for an exchange that starts: see the actor's. */
  viewFor(exchange: number, isSyncing: boolean): View {
    return this.group.actor.viewFor(exchange, isSyncing);
  }

  /** An exchange knows what its peer knows, or serves without. */
  caughtUp(exchange: number): void {
    this.group.actor.caughtUp(exchange);
  }

  suspect(cell: string, seen: SeenCause): void {
    this.group.actor.suspect(cell, seen);
  }

  /** How long ago it went on after it had stood still, as its core group sees it. */
  get wentOnAgoMs(): number {
    return this.group.actor.wentOnAgoMs();
  }

  /** Those that have started since the process did. */
  get exchanges(): IterableIterator<ExchangePlace> {
    return this.#exchanges.values();
  }

  get lines(): IterableIterator<LinePlace> {
    return this.#lines.values();
  }

  /** Those that are awake. */
  get replicas(): Replica[] {
    return [...this.#exchanges.values()].flatMap(({ awake }) => (awake === undefined ? [] : [awake]));
  }

  /** The replica of one exchange; undefined: it sleeps, or has not started. */
  awake(exchange: number): Replica | undefined {
    return this.#exchanges.get(exchange)?.awake;
  }

  replica(exchange: number): Replica {
    return this.#placeOf(exchange).wake();
  }

  line(access: string): Line {
    return this.#placeOfLine(access).wake();
  }

  /** A gateway's backhaul. */
  acceptBackhaul(exchange: number, gateway: string, end: End): EndHandlers {
    return this.#placeOf(exchange).accept(gateway, end);
  }

  /** A softphone's WebSocket. */
  acceptSoftphone(access: string, address: string, port: number, end: End): EndHandlers {
    return this.#placeOfLine(access).accept(address, port, end);
  }

  #placeOf(exchange: number): ExchangePlace {
    let place = this.#exchanges.get(exchange);
    if (place === undefined && !this.cluster.pairOf(exchange).includes(this)) throw new Error(`exchange ${exchange} is not in ${this.id}`);
    if (place === undefined) this.#exchanges.set(exchange, (place = new ExchangePlace(this, exchange)));
    return place;
  }

  #placeOfLine(access: string): LinePlace {
    let place = this.#lines.get(access);
    if (place === undefined) this.#lines.set(access, (place = new LinePlace(this, access)));
    return place;
  }
}
