import type { LinesMode } from "../../actors/core-group/line-drain.ts";
import type { Heartbeat } from "../../cluster/group/heartbeat.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { SeenCause, View } from "../../cluster/group/view.ts";
import { isKnownCell } from "../../cluster/map/serving-cells.ts";
import { CellDisk } from "./cell-disk.ts";
import type { Cluster } from "./cluster.ts";
import { CoreGroup } from "./core-group.ts";
import { ExchangePlace } from "./exchange-place.ts";
import { Host, type Clock } from "./host.ts";
import { Ledger } from "./ledger.ts";
import { LinePlace } from "./line-place.ts";
import type { Line } from "./line.ts";
import type { End, EndHandlers } from "./network.ts";
import type { Replica } from "./replica.ts";
import { Service } from "./service.ts";

/** A cell: one process with a disk, its core group, its replicas, its lines; each starts when it is needed first, as objects do. */
export class Cell {
  readonly id: string;
  readonly cluster: Cluster;
  readonly host: Host;
  readonly disk: CellDisk;
  /** What its process does of the services of the group. */
  service: Service;
  /** The newest map that is known in its process (workers/environment.ts). */
  map: ClusterMap;
  /** It died, and does not come back. */
  isLost = false;
  /** Softphones are to go elsewhere: it is taken out of service, or is no member. */
  isDraining = false;
  readonly #exchanges = new Map<number, ExchangePlace>();
  readonly #lines = new Map<string, LinePlace>();
  #group: CoreGroup | undefined;
  #ledger: Ledger | undefined;

  constructor(cluster: Cluster, id: string, clock: Clock) {
    this.cluster = cluster;
    this.id = id;
    this.host = new Host(cluster.world, id, clock);
    this.host.version = 0;
    this.service = new Service(this);
    this.map = cluster.deployed;
    this.disk = new CellDisk(cluster.world, cluster.moments, id);
  }

  start(): void {
    this.host.start(() => {
      this.#exchanges.clear();
      this.#lines.clear();
      this.service = new Service(this);
      this.map = this.cluster.deployed;
      this.#group = new CoreGroup(this);
      void this.#group.actor;
      this.#ledger = new Ledger(this);
    });
  }

  /** A fault is over that it has stood still or died of. */
  goOn(): void {
    if (this.isLost) return;
    if (this.host.state === "down") this.start();
    else this.host.thaw();
  }

  drainLines(mode: LinesMode): void {
    this.isDraining = mode !== "take";
    if (mode === "send") for (const line of this.#lines.values()) line.drain();
  }

  get group(): CoreGroup {
    if (this.#group === undefined) throw new Error("no core group");
    return this.#group;
  }

  get ledger(): Ledger {
    if (this.#ledger === undefined) throw new Error("no ledger");
    return this.#ledger;
  }

  heartbeat(heartbeat: Heartbeat): Heartbeat {
    const answer = this.group.actor.heartbeat(heartbeat);
    if (answer === undefined) throw new Error(`${heartbeat.cell} is no cell`);
    return answer;
  }

  /** The view, for an exchange that starts: see the actor's. */
  viewFor(exchange: number, isSyncing: boolean): View {
    return this.group.actor.viewFor(exchange, isSyncing);
  }

  /** An exchange knows what its peer knows, or serves without. */
  caughtUp(exchange: number): void {
    this.group.actor.caughtUp(exchange);
  }

  copied(exchange: number, cell: string | undefined): void {
    this.group.actor.replicaIsCopied(exchange, cell);
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

  /** Whether its map has an exchange: its door refuses what is for others (workers/exchange-of-path.ts). */
  hasExchange(exchange: number): boolean {
    return exchange < this.map.exchangeCount;
  }

  /** Whether its door lets batches of another cell through to an exchange: one that its map has, or had (`fromAnotherCell` there). */
  takesBatches(exchange: number, { id }: Cell): boolean {
    return this.hasExchange(exchange) && isKnownCell(this.map, id);
  }

  line(access: string): Line {
    return this.#placeOfLine(access).wake();
  }

  /** A gateway's backhaul. */
  acceptBackhaul(exchange: number, gateway: string, end: End): EndHandlers {
    if (!this.hasExchange(exchange)) {
      end.close();
      return { message: () => {}, closed: () => {} };
    }
    return this.#placeOf(exchange).accept(gateway, end);
  }

  /** The WebSocket of a line of another cell. */
  acceptLineSocket(exchange: number, access: string, end: End): EndHandlers {
    if (this.hasExchange(exchange)) return this.#placeOf(exchange).wake().acceptLineSocket(access, end);
    end.close();
    return { message: () => {}, closed: () => {} };
  }

  /** A softphone's WebSocket. */
  acceptSoftphone(access: string, address: string, port: number, end: End): EndHandlers {
    return this.#placeOfLine(access).accept(address, port, end);
  }

  #placeOf(exchange: number): ExchangePlace {
    let place = this.#exchanges.get(exchange);
    if (place === undefined && !this.cluster.hadReplica(exchange, this)) throw new Error(`exchange ${exchange} is not in ${this.id}`);
    if (place === undefined) this.#exchanges.set(exchange, (place = new ExchangePlace(this, exchange)));
    return place;
  }

  #placeOfLine(access: string): LinePlace {
    let place = this.#lines.get(access);
    if (place === undefined) this.#lines.set(access, (place = new LinePlace(this, access)));
    return place;
  }
}
