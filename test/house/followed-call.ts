import { Session, type Profiler } from "node:inspector";
import { Cell } from "../simulation/cell.ts";
import { Cluster, clusterMap } from "../simulation/cluster.ts";
import { Gateway } from "../simulation/gateway.ts";
import { Phone } from "../simulation/phone.ts";
import { World } from "../simulation/world.ts";

/** Files whose functions ran at a moment, from the root of the sources. */
export type Footsteps = { readonly atMs: number; readonly files: ReadonlySet<string> };

const rightClock = { offsetMs: 0, drift: 0 };
/** Everything has started, and for a while nobody says anything by himself: heartbeats come with the full seconds. */
const quietMs = 9_300;

/** Alice has a desk phone behind the gateway (UDP), Bob a browser at a cell (WebSocket), in a simulated world where nothing fails. */
export class FollowedWorld {
  readonly alice: Phone;
  readonly bob: Phone;
  readonly #world = new World(1, false);
  readonly #watch = new Watch();

  constructor() {
    const cluster = new Cluster(this.#world, clusterMap(["a", "b"], 1, ["192.0.2.1"]));
    for (const { id } of cluster.map.cells) cluster.cells.push(new Cell(cluster, id, rightClock));
    cluster.gateways.push(new Gateway(cluster, "g1", "192.0.2.1", rightClock));
    this.alice = new Phone(cluster, "alice", 0, "UDP", false);
    this.bob = new Phone(cluster, "bob", 1, "WS", true);
    cluster.phones.push(this.alice, this.bob);
    for (const each of [...cluster.cells, ...cluster.gateways]) each.start();
    for (const phone of cluster.phones) {
      this.#world.at(2_000, () => {
        phone.registration.isWanted = true;
        phone.start();
      });
    }
    this.#world.runUntil(quietMs);
  }

  /** Does something, and looks every `stepMs` what ran, until what was begun is over. */
  follow(begin: () => void, isOver: () => boolean, stepMs = 1): Footsteps[] {
    const world = this.#world;
    const startedAt = world.now;
    const footsteps: Footsteps[] = [];
    this.#watch.ran();
    begin();
    while (!isOver()) {
      if (world.now > startedAt + 5_000) throw new Error("it is not over after 5 s");
      const { events } = world;
      world.runUntil(world.now + stepMs);
      if (world.events > events) footsteps.push({ atMs: world.now - startedAt, files: this.#watch.ran() });
    }
    return footsteps;
  }

  close(): void {
    this.#watch.close();
  }
}

/** Tells which files' functions have run, as V8 counts their calls. */
class Watch {
  readonly #session = new Session();

  constructor() {
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
  }

  /** Since it was asked last. */
  ran(): ReadonlySet<string> {
    let scripts: readonly Profiler.ScriptCoverage[] = [];
    // In its own thread the engine answers at once.
    this.#session.post("Profiler.takePreciseCoverage", (_error, { result }) => (scripts = result));
    const files = new Set<string>();
    for (const { url, functions } of scripts) {
      const file = /\/((?:sip|cluster|actors)\/[\w./-]+\.ts)/.exec(url)?.[1];
      if (file !== undefined && functions.some(({ ranges }) => (ranges[0]?.count ?? 0) > 0)) files.add(file);
    }
    return files;
  }

  close(): void {
    this.#session.post("Profiler.stopPreciseCoverage");
    this.#session.disconnect();
  }
}
