import { mkdirSync, readFileSync } from "node:fs";
import type { Target } from "../../kit/phone/link.ts";
import { comesTrue } from "../../kit/world/until.ts";
import { ApiClient } from "../api-client.ts";
import { clusterSettingsOf } from "../cluster.ts";
import { Failure, codeOf } from "../errors.ts";
import { type Layout, checkPorts, layoutOf } from "../layout.ts";
import { LocalSystem } from "../local-system.ts";
import type { Reporter } from "../reporter.ts";
import type { Settings } from "../settings.ts";
import { StateDirectory } from "../state-directory.ts";
import type { DrillTransport } from "./plan.ts";
import { Relay } from "./relay.ts";

const host = "127.0.0.1";
const domain = "drill.test";
const cellIds = ["a", "b"] as const;
export type CellId = (typeof cellIds)[number];
const upMsMax = 15_000;
const upPollMs = 100;

/** The system that a drill does its worst to: two cells that reach each other through relays, two gateways. */
export class DrillSystem {
  readonly domain = domain;
  readonly host = host;
  readonly exchangeCount: number;
  readonly #layout: Layout;
  readonly #state: StateDirectory;
  readonly #system: LocalSystem;
  readonly #relays: ReadonlyMap<CellId, { readonly relay: Relay; readonly port: number }>;

  /** `port`: the first of eight. The state directory must be new. */
  constructor(directory: string, port: number, reporter: Reporter, exchanges?: number) {
    const settings: Settings = {
      domain,
      auth: "open",
      digest: ["MD5"],
      failedLogins: undefined,
      host,
      sipPort: port,
      tlsPort: port + 1,
      wsPort: undefined,
      wssPort: undefined,
      httpPort: port + 4,
      cells: cellIds.length,
      gateways: 2,
      exchanges,
      replication: true,
      state: directory,
      restart: false,
      json: false,
    };
    this.#state = new StateDirectory(directory);
    const cluster = clusterSettingsOf(settings, undefined);
    this.exchangeCount = cluster.exchanges;
    this.#layout = layoutOf(settings, cluster.cells);
    // The relay of a cell is the way on which the other one reaches it.
    this.#relays = new Map(
      this.#layout.cells.map((cell, index) => [
        cellIds[index] ?? "a",
        { relay: new Relay({ host, port: cell.port }), port: port + 6 + index },
      ]),
    );
    this.#system = new LocalSystem({
      settings,
      cluster,
      layout: this.#layout,
      state: this.#state,
      reporter,
      mapFor: (cell, map) => ({ ...map, cells: map.cells.map(({ id, url }) => ({ id, url: id === cell ? url : this.#relayUrl(id) })) }),
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
  targets(transport: DrillTransport): Target[] {
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
