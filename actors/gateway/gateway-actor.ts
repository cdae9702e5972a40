import { type FrameRecord, type Hello, RecordKind, jsonOctets } from "../../cluster/backhaul/frame.ts";
import type { GatewayTally } from "../../cluster/group/gateway-tally.ts";
import type { ClusterMap, DrainingGateway } from "../../cluster/map/cluster-map.ts";
import { NoisySources } from "../../cluster/overload/noisy-sources.ts";
import type { Listener } from "../../sip/flow/flow.ts";
import { networkOfSource } from "../../sip/flow/source.ts";
import { stringOf } from "../../sip/message/octets.ts";
import type { SteadyMs } from "../../sip/time.ts";
import type { BackhaulLink } from "./backhaul-link.ts";
import { Backhauls } from "./backhauls.ts";
import { CellUrls } from "./cell-urls.ts";
import { ControlLinks } from "./control-links.ts";
import { Dispatcher, type PhoneConnection } from "./dispatcher.ts";
import { Heart } from "./heart.ts";
import { heartbeatDefault, lookMsMax } from "./limits.ts";
import { LocalAnswers } from "./local-answers.ts";
import type { Counters, ProcessPorts } from "./ports.ts";

export type GatewayOptions = {
  readonly name: string;
  /** New with every start: connections of an earlier one are gone. */
  readonly boot: string;
  /** Where phones find it, with the ports that were really bound. */
  readonly listeners: readonly Listener[];
  /** Cells of the configuration: where the first map comes from (see {@link CellUrls}). */
  readonly cells: readonly { readonly id: string; readonly url: string }[];
  readonly counters: Counters;
  /** Sources whose requests are never refused because all is late; absent: there are none. */
  readonly trusted?: ReadonlySet<string>;
};

const noSources: ReadonlySet<string> = new Set();

export type GatewayPorts = ProcessPorts & {
  /** Writes a message to a flow. `link` is told when that is not possible; undefined: for a message that nobody waits for. */
  readonly send: (flowKey: string, octets: Uint8Array, link: BackhaulLink | undefined) => void;
  /** Closes a flow, if it is there. */
  readonly close: (flowKey: string) => void;
  /** Looks where the next hop of a URI is (RFC 3263): flow keys to try in order. */
  readonly resolve: (uri: string, found: (flowKeys: readonly string[]) => void) => void;
  /** Whether what came over the network has the shape of a cluster map. */
  readonly isClusterMap: (value: unknown) => value is ClusterMap;
  /** What the cells are told of this gateway, as it is now; absent: nothing. */
  readonly tally?: () => GatewayTally;
  /** A moment to look for what has been here for too long; comes with every beat of the heart and in between. */
  readonly looked: () => void;
  /** How long what comes waits to be read by this process, ms. */
  readonly inputDelayMs: () => number;
  /**
   * This gateway is out of service: connections that it has in so many milliseconds are closed, a few at a time; `never`: they are kept. Undefined: it is in
   * service again. Absent: it has none.
   */
  readonly drain?: (closeInMs: number | "never" | undefined) => void;
  /** This gateway has been configured so that it may not serve this system, and has not begun to. Absent: it waits, and that is in the log. */
  readonly unfit?: (reason: string) => void;
  /** While there is too much to do this process goes before those that get what it takes, where the system lets it. */
  readonly setUrgent: (isUrgent: boolean) => void;
};

/** What a gateway decides. It keeps no call state: phones' messages go to exchanges, and what exchanges send goes to flows. */
export class GatewayActor {
  readonly #ports: GatewayPorts;
  readonly #counters: Counters;
  readonly #heart: Heart;
  readonly #backhauls: Backhauls;
  readonly #dispatcher: Dispatcher;
  readonly #control: ControlLinks;
  readonly #name: string;
  /** What the map says of it; undefined: it is in service. */
  #draining: DrainingGateway | undefined;
  /** By the last beat. */
  #isShedding = false;

  constructor({ name, boot, listeners, cells, counters, trusted = noSources }: GatewayOptions, ports: GatewayPorts) {
    this.#name = name;
    this.#ports = ports;
    this.#counters = counters;
    this.#heart = new Heart(heartbeatDefault.periodMs, lookMsMax, ports.timer);
    const hello: Hello = { boot, listeners };
    const common = { gateway: name, hello, heart: this.#heart, cellUrls: new CellUrls(cells), ports };
    const noise = new NoisySources((news, { source, ...counted }) => {
      ports.log(news === "began" ? "noise" : "noise-over", { ...counted, source: networkOfSource(source) });
    });
    this.#backhauls = new Backhauls(
      { ...common, counters, noise },
      {
        receive: (link, records) => this.#receive(link, records),
        abandoned: (records) => this.#dispatcher.abandoned(records),
        displaced: (records) => this.#dispatcher.displaced(records),
        inputDelayMs: ports.inputDelayMs,
        heardAt: (cell) => this.#control.heardAt(cell),
        sheddingChanged: () => ports.setUrgent(this.#backhauls.shedShare !== undefined),
      },
    );
    const answers = new LocalAnswers({
      gateway: name,
      boot,
      listeners: () => listeners,
      map: () => this.#backhauls.map,
      isReady: () => this.isReady,
      send: (flowKey, octets) => ports.send(flowKey, octets, undefined),
    });
    this.#dispatcher = new Dispatcher({ heart: this.#heart, ports, backhauls: this.#backhauls, answers, counters, noise, trusted });
    this.#control = new ControlLinks(
      { ...common, cells, isClusterMap: ports.isClusterMap, ...(ports.tally === undefined ? {} : { tally: ports.tally }) },
      {
        mapped: (map) => {
          this.#drainBy(map);
          this.#backhauls.update(map, ports.now());
          this.#dispatcher.mapChanged();
        },
        unfit: ports.unfit ?? ((reason) => ports.log("unfit", { reason })),
        viewed: (by, states) => this.#backhauls.viewed(by, states),
      },
    );
    this.#control.start();
    this.#heart.onLook(ports.looked);
    this.#heart.onBeat(() => {
      noise.look(ports.now());
      counters.noisySources = noise.sources;
      this.#tellLoad();
    });
  }

  /** Octets of records that no exchange has acknowledged. */
  get octetsHeld(): number {
    return this.#backhauls.octetsHeld;
  }

  /** How late exchanges have been lately for what it brings them, ms; undefined: it brings nothing. */
  lateMs(now: SteadyMs): number | undefined {
    return this.#backhauls.lateMs(now);
  }

  /** True when at least one exchange can be reached. */
  get isReachable(): boolean {
    return this.#backhauls.isReachable;
  }

  /** True when it is in service: it reaches an exchange, and is not being drained. */
  get isReady(): boolean {
    return this.isReachable && !this.isDraining;
  }

  /** True while the operator has it out of service. */
  get isDraining(): boolean {
    return this.#draining !== undefined;
  }

  /** The cell that messages of this exchange go to now, with this cell in their token or with none; undefined: they wait. */
  routeOf(exchange: number, cell?: string): string | undefined {
    return this.#backhauls.routeOf(exchange, cell);
  }

  /** One SIP message from a flow. */
  receive(flowKey: string, octets: Uint8Array, connection: PhoneConnection | undefined): void {
    this.#dispatcher.receive(flowKey, octets, connection);
  }

  /** A connection has ended: the exchanges that it talked to must know (RFC 5626 5.3). */
  closed(connection: PhoneConnection): void {
    this.#dispatcher.closed(connection.key);
    this.#backhauls.tellClosed(connection.key, connection.links, this.#ports.now());
  }

  /** Nothing new is looked at or sent any more. Connections of phones may still say goodbye. */
  stopReading(): void {
    this.#heart.stop();
    this.#dispatcher.stop();
  }

  /** Closes all ways to cells. */
  stop(): void {
    this.#control.stop();
    this.#backhauls.stop();
  }

  /** With each beat, as long as something is refused; and once more when nothing is. */
  #tellLoad(): void {
    const share = this.#backhauls.shedShare;
    if (share !== undefined || this.#isShedding) this.#control.tellRefused(share ?? 0);
    this.#isShedding = share !== undefined;
  }

  #drainBy({ drainingGateways = [] }: ClusterMap): void {
    const before = this.#draining;
    const draining = drainingGateways.find(({ id }) => id === this.#name);
    this.#draining = draining;
    if (draining?.closeAt === before?.closeAt && (draining === undefined) === (before === undefined)) return;
    if (draining === undefined || before === undefined) this.#ports.log(draining === undefined ? "in-service" : "draining");
    const { closeAt } = draining ?? {};
    const now = this.#ports.now();
    this.#ports.drain?.(
      draining === undefined ? undefined : closeAt === undefined ? "never" : Math.max(0, closeAt - this.#ports.wallAt(now)),
    );
  }

  #receive(link: BackhaulLink, records: readonly FrameRecord[]): void {
    for (const { kind, key, octets } of records) {
      switch (kind) {
        case RecordKind.send:
          this.#dispatcher.sent(key, octets);
          this.#ports.send(key, octets, link);
          break;
        case RecordKind.resolve:
          this.#counters.resolutions += 1;
          this.#resolve(link, key, stringOf(octets));
          break;
        case RecordKind.closeFlow:
          this.#ports.close(key);
          break;
        default:
          // A newer exchange may say more than this gateway knows.
          break;
      }
    }
  }

  /** Answers the exchange's question where a next hop is (RFC 3263). */
  #resolve(link: BackhaulLink, id: string, uri: string): void {
    this.#ports.resolve(uri, (flowKeys) => link.answer({ kind: RecordKind.resolved, key: id, octets: jsonOctets(flowKeys) }));
  }
}
