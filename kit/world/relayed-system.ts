import { mkdirSync, readFileSync } from "node:fs";
import { ApiClient } from "../../cli/api-client.ts";
import type { Bundle } from "../../cli/bundle.ts";
import { clusterSettingsOf } from "../../cli/cluster.ts";
import { ControlServer } from "../../cli/control.ts";
import { Failure, codeOf } from "../../cli/errors.ts";
import { type Layout, checkPorts, layoutOf } from "../../cli/layout.ts";
import { controlHandlersOf, LocalSystem } from "../../cli/local-system.ts";
import type { Reporter } from "../../cli/reporter.ts";
import { type Run, StateDirectory } from "../../cli/state-directory.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { PhoneTransport, Target } from "../phone/link.ts";
import { untilMembersUp } from "./members-up.ts";
import { Relay } from "./relay.ts";
import { loopback as host, settingsAt } from "./settings-at.ts";
import { tandem } from "./tandem.ts";

/** `a`, `b`, ...: as many as the system has cells. */
export type CellId = string;
const cellsDefault = 2;

export type RelayedSystemOptions = {
  /** Where its state is kept: a new directory. */
  readonly directory: string;
  /** The first of {@link relayedPorts} consecutive ones. */
  readonly firstPort: number;
  readonly domain: string;
  readonly gateways: number;
  /** Two when absent. */
  readonly cells?: number;
  /** As many as `tandem up` takes when undefined. */
  readonly exchanges?: number | undefined;
  /** False: the cells reach each other without relays, and there is nothing to cut. */
  readonly hasRelays?: boolean;
  readonly reporter: Reporter;
  /** Gateways reach cell a through its relay as well: a cut leaves it alone. Else a cut is one between the cells. */
  readonly cutsGateways?: boolean;
  /** Other times than the usual ones. */
  readonly times?: Partial<Pick<ClusterMap, "flushMs" | "heartbeat" | "healAfterMs">>;
  /** Another script for a cell than the one of this checkout; undefined: that one. */
  readonly scriptOf?: ((bundle: Bundle, cell: string) => Bundle) | undefined;
};

/** Ports of a system of two cells: two for each gateway, two cells, a relay before each cell. */
export function relayedPorts(gateways: number): number {
  return 2 * gateways + 2 * cellsDefault;
}

/** A system of some cells in this process's hands, which reach each other through relays that can be cut. */
export class RelayedSystem {
  readonly domain: string;
  readonly host = host;
  readonly exchangeCount: number;
  readonly #layout: Layout;
  readonly #state: StateDirectory;
  readonly #system: LocalSystem;
  readonly #control: ControlServer;
  readonly #relays: ReadonlyMap<CellId, { readonly relay: Relay; readonly port: number }>;

  constructor(options: RelayedSystemOptions) {
    const { directory, firstPort, domain, gateways, exchanges, reporter, cutsGateways = false, times = {}, scriptOf } = options;
    const { cells = cellsDefault, hasRelays = true } = options;
    this.domain = domain;
    const settings = settingsAt(firstPort, { state: directory, domain, gateways, cells, exchanges });
    this.#state = new StateDirectory(directory);
    const cluster = clusterSettingsOf(settings, undefined);
    this.exchangeCount = cluster.exchanges;
    const layout = layoutOf(settings, cluster.cells);
    this.#layout = layout;
    const firstRelay = firstPort + 2 * gateways + cells;
    // The relay of a cell is the way on which the others reach it.
    this.#relays = new Map(
      (hasRelays ? layout.cells : []).map(({ id, port }, index) => [id, { relay: new Relay({ host, port }), port: firstRelay + index }]),
    );
    const isRelayed = (id: string): boolean => cutsGateways && id === "a";
    this.#system = new LocalSystem({
      settings,
      cluster,
      layout: {
        ...layout,
        cells: layout.cells.map((cell) => (isRelayed(cell.id) ? { ...cell, url: this.#relayUrl(cell.id) ?? cell.url } : cell)),
      },
      state: this.#state,
      reporter,
      ...(scriptOf === undefined ? {} : { wrap: scriptOf }),
      mapFor: (cell, map) => ({
        ...map,
        ...times,
        cells: map.cells.map((each) => (each.id === cell ? each : { ...each, url: this.#relayUrl(each.id) ?? each.url })),
      }),
    });
    this.#control = new ControlServer(this.#state, controlHandlersOf(this.#system));
  }

  async start(signal: AbortSignal): Promise<void> {
    mkdirSync(this.#state.path, { recursive: true, mode: 0o700 });
    this.#state.lock();
    await checkPorts(this.#layout, host, 0, "--port");
    for (const [cell, { relay, port }] of this.#relays) await listenAs(relay, port, cell);
    await this.#system.start(signal);
    await this.#control.listen();
  }

  async stop(): Promise<void> {
    this.#control.close();
    await this.#system.stop();
    await Promise.all([...this.#relays.values()].map(({ relay }) => relay.close()));
    this.#state.removeRun();
    this.#state.unlock();
  }

  /** Ends everything without waiting for it. */
  kill(): void {
    this.#system.kill();
  }

  /** The certificate authority that phones are told to trust, PEM. */
  get ca(): string {
    return readFileSync(this.#state.file("tls", "ca.pem"), "utf8");
  }

  get secret(): string {
    return this.#state.secret();
  }

  /** Those that there are now: some may have been added, or removed. At their own URLs: gateways may have those of relays. */
  get cells(): Run["cells"] {
    const own = new Map(this.#layout.cells.map(({ id, url }) => [id, url]));
    return this.#system.run.cells.map((cell) => ({ ...cell, url: own.get(cell.id) ?? cell.url }));
  }

  /** Does what an operator does with this command. Throws with what it says when it fails. */
  async command(...words: readonly string[]): Promise<void> {
    const { code, err } = await tandem([...words, "--state", this.#state.path]);
    if (code !== 0) throw new Failure(`tandem ${words.join(" ")}: ${err.trim()}`);
  }

  /** What a cell answers another cell. */
  cellApi(id: CellId): ApiClient {
    return new ApiClient(
      this.cells.filter((cell) => cell.id === id).map(({ url }) => url),
      this.secret,
      "cell",
    );
  }

  /** Where the phones of a transport send to: both gateways, or for WebSocket both cells. */
  targets(transport: PhoneTransport): Target[] {
    const { cells, gateways } = this.#layout;
    if (transport === "ws") return cells.map(({ id, port }) => ({ name: `cell ${id}`, host, port }));
    return gateways.flatMap(({ id, listeners }) =>
      listeners.filter((one) => one.transport.toLowerCase() === transport).map(({ port }) => ({ name: `gateway ${id}`, host, port })),
    );
  }

  /** The API of some cells, asked in this order. */
  api(...ids: readonly CellId[]): ApiClient {
    return new ApiClient(
      this.cells.filter(({ id }) => ids.includes(id)).map(({ url }) => url),
      this.secret,
    );
  }

  /** Sends a signal to a member: `cell a`, `gateway g1`. */
  signal(name: string, signal: NodeJS.Signals): void {
    process.kill(this.#pidOf(name), signal);
  }

  /** Starts a member that was killed again; resolves when it serves. */
  async startAgain(name: string): Promise<void> {
    await this.#system.startAgain(name);
  }

  /** Nothing passes between the cells any more. */
  cut(): void {
    for (const { relay } of this.#relays.values()) relay.cut();
  }

  heal(): void {
    for (const { relay } of this.#relays.values()) relay.heal();
  }

  #relayUrl(cell: CellId): string | undefined {
    const relay = this.#relays.get(cell);
    return relay === undefined ? undefined : `http://${host}:${relay.port}`;
  }

  #pidOf(name: string): number {
    const { cells, gateways } = this.#system.run;
    const [kind = "", id = ""] = name.split(" ");
    const member = (kind === "cell" ? cells : gateways).find((each) => each.id === id);
    if (member === undefined) throw new Failure(`there is no ${name}`);
    return member.pid;
  }

  /** Waits until every cell and gateway, but for those that are lost, is up in the eyes of the cells. False: not within 15 s. */
  async untilUp(lost: readonly CellId[] = []): Promise<boolean> {
    const asked = this.cells.filter(({ id }) => !lost.includes(id));
    return await untilMembersUp(
      asked.map(({ id }) => this.api(id)),
      lost,
    );
  }
}

async function listenAs(relay: Relay, port: number, cell: CellId): Promise<void> {
  try {
    await relay.listen(host, port);
  } catch (error) {
    if (codeOf(error) !== "EADDRINUSE") throw error;
    throw new Failure(`${host}:${port} is in use by another process; the way to cell ${cell} needs it (--port)`);
  }
}
