import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { gatewayNameFault } from "../../cluster/map/domains.ts";
import { isNewer, mapVersionOf } from "../../cluster/map/map-version.ts";
import { unsoundness } from "../../cluster/map/sound-map.ts";
import { busyMachineFactor } from "../../cluster/limits.ts";
import type { Hello } from "../../cluster/backhaul/frame.ts";
import { type GatewayTally, tallyText } from "../../cluster/group/gateway-tally.ts";
import { CellLink, type Loss } from "./cell-link.ts";
import { type CellStates, readView } from "./cell-states.ts";
import type { CellUrls } from "./cell-urls.ts";
import type { Heart } from "./heart.ts";
import { heartbeatDefault, tallyMsMin } from "./limits.ts";
import type { ProcessPorts } from "./ports.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type ControlLinksOptions = {
  readonly gateway: string;
  readonly hello: Hello;
  /** Cells of the configuration: where the first map comes from. Cells that a map adds are joined to them. */
  readonly cells: readonly { readonly id: string; readonly url: string }[];
  readonly cellUrls: CellUrls;
  /** When to ping. Takes the period of the newest map. */
  readonly heart: Heart;
  readonly ports: ProcessPorts;
  /** Whether what came over the network has the shape of a cluster map. */
  readonly isClusterMap: (value: unknown) => value is ClusterMap;
  /** What the cells are told of this gateway, as it is now; absent: nothing. */
  readonly tally?: () => GatewayTally;
};

export type ControlLinksHandlers = {
  /** A newer map than the last. */
  mapped(map: ClusterMap): void;
  /** By the first map this gateway may not serve, and why. That map is not taken. */
  unfit(reason: string): void;
  /** How a cell sees the others now. */
  viewed(by: string, states: CellStates): void;
};

type ControlLink = { readonly url: string; readonly link: CellLink; epoch: number };

/**
 * The control link to every cell. The gateway says who it is, `{"type":"hello","name","boot","listeners"}`; the cell sends
 * `{"type":"map","map"}` on open and whenever the map changes, and `{"type":"view","view"}` likewise. The newest map counts, whichever
 * cell it came from; views are each cell's own. When the link to a cell is lost the others are told, `{"type":"lost","cell","seen"}`.
 * A gateway that refuses a part of new requests says so, `{"type":"load","refused":0.4}`. What it has counted it says on open and when that has
 * changed, `{"type":"tally",...}`.
 */
export class ControlLinks {
  readonly #options: ControlLinksOptions;
  readonly #handlers: ControlLinksHandlers;
  readonly #links = new Map<string, ControlLink>();
  /** The newest map; undefined: none has come yet. */
  #map: ClusterMap | undefined;
  /** Cells whose map was refused, which was said. */
  readonly #refused = new Set<string>();
  #missedMax: number = heartbeatDefault.missed;
  /** By what cells were told last. */
  #isOverloaded = false;
  #tallySaid = "";
  #tallySaidAt: SteadyMs = Number.NEGATIVE_INFINITY;

  constructor(options: ControlLinksOptions, handlers: ControlLinksHandlers) {
    this.#options = options;
    this.#handlers = handlers;
  }

  start(): void {
    this.#connectTo(this.#options.cells);
    this.#options.heart.onBeat(() => {
      for (const { link } of this.#links.values()) link.beat(this.#missedMax * (this.#isOverloaded ? busyMachineFactor : 1));
      this.#tellTally(this.#options.ports.now());
    });
  }

  /** Tells every cell which part of new requests is refused. While it is any, silence tells less. */
  tellRefused(share: number): void {
    this.#isOverloaded = share > 0;
    const text = JSON.stringify({ type: "load", refused: Math.round(share * 1_000) / 1_000 });
    for (const { link } of this.#links.values()) link.send(text);
  }

  /** When a cell last said something on its control link, be it that its runtime answered a ping, ms. */
  heardAt(cell: string): SteadyMs {
    return this.#links.get(cell)?.link.heardAt ?? Number.NEGATIVE_INFINITY;
  }

  stop(): void {
    for (const { link } of this.#links.values()) link.stop();
    this.#links.clear();
  }

  /** Tells every cell what has been counted, if that has changed. */
  #tellTally(now: SteadyMs): void {
    if (this.#options.tally === undefined) return;
    const tally = this.#options.tally();
    // Somebody waits for the end of a drain.
    if (tally.connectionsLeft === undefined && now - this.#tallySaidAt < tallyMsMin) return;
    const text = tallyText(tally);
    if (text === this.#tallySaid) return;
    this.#tallySaid = text;
    this.#tallySaidAt = now;
    for (const { link } of this.#links.values()) link.send(text);
  }

  #connectTo(cells: readonly { readonly id: string; readonly url: string }[]): void {
    for (const { id, url } of cells) {
      const present = this.#links.get(id);
      if (present?.url === url) continue;
      present?.link.stop();
      const link = this.#newLink(id, url);
      this.#links.set(id, { url, link, epoch: -1 });
      link.start();
    }
    for (const [id, { link }] of this.#links) {
      if (cells.some((cell) => cell.id === id)) continue;
      link.stop();
      this.#links.delete(id);
    }
  }

  #newLink(cell: string, url: string): CellLink {
    const { gateway, hello, ports, tally } = this.#options;
    const link: CellLink = new CellLink({ cell, url, exchange: "control" }, ports, {
      opened: () => {
        ports.log("control-up", { cell });
        const known = this.#links.get(cell);
        if (known !== undefined) known.epoch = -1;
        link.send(JSON.stringify({ type: "hello", name: gateway, ...hello }));
        if (tally !== undefined) link.send(tallyText(tally()));
      },
      text: (text) => this.#receive(cell, text),
      binary: () => {},
      down: (reason, loss) => {
        ports.log(loss === "another version" ? "another-version" : "control-down", { cell, reason });
        this.#tellLost(cell, loss);
      },
    });
    return link;
  }

  /** The other cells have no connection to this one that would close: they probe it when they hear of it. */
  #tellLost(cell: string, loss: Loss): void {
    const seen = loss === "another version" ? "missed heartbeats" : loss;
    for (const [id, { link }] of this.#links) if (id !== cell) link.send(JSON.stringify({ type: "lost", cell, seen }));
  }

  #receive(cell: string, text: string): void {
    const message = parseJson(text);
    if (typeof message !== "object" || message === null || !("type" in message)) return;
    if (message.type === "map") this.#receiveMap(cell, "map" in message ? message.map : undefined);
    else if (message.type === "view") this.#receiveView(cell, "view" in message ? message.view : undefined);
  }

  #receiveView(cell: string, value: unknown): void {
    const view = readView(value);
    const link = this.#links.get(cell);
    if (view === undefined) this.#options.ports.log("view-refused", { cell });
    // Epochs only grow; a cell that lost its own begins again with a new connection.
    if (view === undefined || link === undefined || view.epoch < link.epoch) return;
    link.epoch = view.epoch;
    this.#options.ports.log("view", { cell, epoch: view.epoch });
    this.#handlers.viewed(cell, view.cells);
  }

  #receiveMap(cell: string, map: unknown): void {
    const { heart, hello, ports, cellUrls, isClusterMap } = this.#options;
    if (!isClusterMap(map)) return this.#refuseMap(cell, "it has not the form of a map");
    if (this.#map !== undefined && !isNewer(mapVersionOf(map), mapVersionOf(this.#map))) return;
    // Whether it may follow the one before is for the cells to say: a gateway may have missed several, or its cells are made anew.
    const fault = unsoundness(map);
    if (fault !== undefined) return this.#refuseMap(cell, fault);
    // One that serves already goes on: a slip in the cells' deployment is not to end all gateways at once.
    const nameFault = this.#map === undefined ? gatewayNameFault(map, hello.listeners) : undefined;
    if (nameFault !== undefined) return this.#handlers.unfit(nameFault);
    this.#map = map;
    this.#refused.clear();
    ports.log("map", { cell, version: map.version });
    this.#missedMax = map.heartbeat.missed;
    heart.beatBy(map.heartbeat.periodMs);
    this.#connectTo(cellUrls.placesIn(map));
    this.#handlers.mapped(map);
  }

  /** The one that is known stays. Said once for a cell, until a map is taken. */
  #refuseMap(cell: string, reason: string): void {
    if (this.#refused.has(cell)) return;
    this.#refused.add(cell);
    this.#options.ports.log("map-refused", { cell, reason });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
