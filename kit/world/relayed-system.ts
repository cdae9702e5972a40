import { mkdirSync, readFileSync } from "node:fs";
import { ApiClient } from "../../cli/api-client.ts";
import { clusterSettingsOf } from "../../cli/cluster.ts";
import { Failure, codeOf } from "../../cli/errors.ts";
import { type Layout, checkPorts, layoutOf } from "../../cli/layout.ts";
import { LocalSystem } from "../../cli/local-system.ts";
import type { Reporter } from "../../cli/reporter.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { PhoneTransport, Target } from "../phone/link.ts";
import { Relay } from "./relay.ts";
import { loopback as host, settingsAt } from "./settings-at.ts";
import { comesTrue } from "./until.ts";

const cellIds = ["a", "b"] as const;
export type CellId = (typeof cellIds)[number];
const upMsMax = 15_000;
const upPollMs = 100;

export type RelayedSystemOptions = {
  /** Where its state is kept: a new directory. */
  readonly directory: string;
  /** The first of {@link relayedPorts} consecutive ones. */
  readonly firstPort: number;
  readonly domain: string;
  readonly gateways: number;
  /** As many as `tandem up` takes when undefined. */
  readonly exchanges?: number | undefined;
  readonly reporter: Reporter;
  /** Gateways reach cell a through its relay as well: a cut leaves it alone. Else a cut is one between the cells. */
  readonly cutsGateways?: boolean;
  /** Other times than the usual ones. */
  readonly times?: Partial<Pick<ClusterMap, "flushMs" | "heartbeat">>;
};

/** Ports of a system: two for each gateway, two cells, a relay before each cell. */
export function relayedPorts(gateways: number): number {
  return 2 * gateways + 2 * cellIds.length;
}

/** A system of two cells in this process's hands, which reach each other through relays that can be cut. */
export class RelayedSystem {
  readonly domain: string;
  readonly host = host;
  readonly exchangeCount: number;
  readonly #layout: Layout;
  readonly #state: StateDirectory;
  readonly #system: LocalSystem;
  readonly #relays: ReadonlyMap<CellId, { readonly relay: Relay; readonly port: number }>;

  constructor(options: RelayedSystemOptions) {
    const { directory, firstPort, domain, gateways, exchanges, reporter, cutsGateways = false, times = {} } = options;
    this.domain = domain;
    const settings = settingsAt(firstPort, { state: directory, domain, gateways, exchanges });
    this.#state = new StateDirectory(directory);
    const cluster = clusterSettingsOf(settings, undefined);
    this.exchangeCount = cluster.exchanges;
    const layout = layoutOf(settings, cluster.cells);
    this.#layout = layout;
    const firstRelay = firstPort + relayedPorts(gateways) - cellIds.length;
    // The relay of a cell is the way on which the other one reaches it.
    this.#relays = new Map(
      layout.cells.map((cell, index) => [cellIds[index] ?? "a", { relay: new Relay({ host, port: cell.port }), port: firstRelay + index }]),
    );
    const isRelayed = (id: string): boolean => cutsGateways && id === "a";
    this.#system = new LocalSystem({
      settings,
      cluster,
      layout: { ...layout, cells: layout.cells.map((cell) => (isRelayed(cell.id) ? { ...cell, url: this.#relayUrl(cell.id) } : cell)) },
      state: this.#state,
      reporter,
      mapFor: (cell, map) => ({
        ...map,
        ...times,
        cells: map.cells.map(({ id, url }) => ({ id, url: id === cell ? url : this.#relayUrl(id) })),
      }),
    });
  }

  async start(signal: AbortSignal): Promise<void> {
    mkdirSync(this.#state.path, { recursive: true, mode: 0o700 });
    this.#state.lock();
    await checkPorts(host, this.#layout, 0, host, "--port");
    for (const [cell, { relay, port }] of this.#relays) await listenAs(relay, port, cell);
    await this.#system.start(signal);
  }

  async stop(): Promise<void> {
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

  get cells(): Layout["cells"] {
    return this.#layout.cells;
  }

  /** What a cell answers another cell. */
  cellApi(id: CellId): ApiClient {
    return new ApiClient(
      this.#layout.cells.filter((cell) => cell.id === id).map(({ url }) => url),
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
      this.#layout.cells.filter(({ id }) => ids.some((each) => each === id)).map(({ url }) => url),
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

  #relayUrl(cell: string): string {
    const known = cellIds.find((id) => id === cell);
    return `http://${host}:${known === undefined ? 0 : this.#relays.get(known)?.port}`;
  }

  #pidOf(name: string): number {
    const { cells, gateways } = this.#system.run;
    const [kind = "", id = ""] = name.split(" ");
    const member = (kind === "cell" ? cells : gateways).find((each) => each.id === id);
    if (member === undefined) throw new Failure(`there is no ${name}`);
    return member.pid;
  }

  /** Waits until every cell and gateway is up in the eyes of the cells. False: not within 15 s. */
  async untilUp(): Promise<boolean> {
    const isUpEverywhere = async (): Promise<boolean> => {
      const up = await Promise.all(
        cellIds.map(
          async (id) =>
            await this.api(id)
              .get("/api/status")
              .then(isAllUp, () => false),
        ),
      );
      return up.every(Boolean);
    };
    return await comesTrue(isUpEverywhere, upMsMax, upPollMs);
  }
}

function isAllUp(status: unknown): boolean {
  const members = status as {
    readonly cells: readonly { readonly state: string }[];
    readonly gateways: readonly { readonly state: string }[];
  };
  return [...members.cells, ...members.gateways].every(({ state }) => state === "up");
}

async function listenAs(relay: Relay, port: number, cell: CellId): Promise<void> {
  try {
    await relay.listen(host, port);
  } catch (error) {
    if (codeOf(error) !== "EADDRINUSE") throw error;
    throw new Failure(`${host}:${port} is in use by another process; the way to cell ${cell} needs it (--port)`);
  }
}
