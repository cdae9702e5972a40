import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../../cli/api-client.ts";
import { clusterSettingsOf } from "../../cli/cluster.ts";
import { Relay } from "../../cli/drill/relay.ts";
import { layoutOf } from "../../cli/layout.ts";
import { LocalSystem } from "../../cli/local-system.ts";
import type { Settings } from "../../cli/settings.ts";
import { StateDirectory } from "../../cli/state-directory.ts";
import type { Change, Status } from "../../schemas/api-answers.ts";
import { isStatus } from "../../cli/status.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { freePorts } from "../../kit/world/free-ports.ts";

const host = "127.0.0.1";
const cells = ["a", "b"] as const;
export type CellId = (typeof cells)[number];

export type RiggedOptions = {
  /** Other times than the usual ones. */
  readonly flushMs?: number;
  readonly heartbeat?: ClusterMap["heartbeat"];
};

/**
 * A system of two cells and a gateway in this process's hands. Every way that leads to or from cell a goes through relays that can be cut,
 * the gateway's too; tests and their softphones come directly.
 */
export class RiggedSystem {
  readonly domain = "example.test";
  readonly directory: string;
  /** What its processes have said. */
  readonly lines: readonly string[];
  readonly #system: LocalSystem;
  readonly #ports: ReadonlyMap<CellId, number>;
  readonly #relays: readonly Relay[];

  private constructor(options: {
    readonly directory: string;
    readonly system: LocalSystem;
    readonly ports: ReadonlyMap<CellId, number>;
    readonly relays: readonly Relay[];
    readonly lines: readonly string[];
  }) {
    this.directory = options.directory;
    this.lines = options.lines;
    this.#system = options.system;
    this.#ports = options.ports;
    this.#relays = options.relays;
  }

  static async start({ flushMs, heartbeat }: RiggedOptions = {}): Promise<RiggedSystem> {
    const directory = mkdtempSync(join(tmpdir(), "tandem-rigged-"));
    const first = await freePorts(6);
    const settings: Settings = {
      domain: undefined,
      auth: "open",
      digest: ["MD5"],
      failedLogins: undefined,
      host,
      sipPort: first,
      tlsPort: first + 1,
      wsPort: undefined,
      wssPort: undefined,
      httpPort: first + 2,
      cells: cells.length,
      gateways: 1,
      exchanges: undefined,
      replication: true,
      state: directory,
      restart: false,
      json: false,
    };
    const cluster = clusterSettingsOf(settings, undefined);
    const own = layoutOf(settings, cluster.cells);
    const [toA, fromA] = [new Relay({ host, port: first + 2 }), new Relay({ host, port: first + 3 })];
    await toA.listen(host, first + 4);
    await fromA.listen(host, first + 5);
    const lines: string[] = [];
    const system = new LocalSystem({
      settings,
      cluster,
      // Who looks for cell a, finds the relay; the cell itself listens where it always does.
      layout: { ...own, cells: own.cells.map((cell) => (cell.id === "a" ? { ...cell, url: `http://${host}:${first + 4}` } : cell)) },
      state: new StateDirectory(directory),
      reporter: {
        step: () => {},
        event: (process, event, cause) => void lines.push(`${process} ${event}: ${cause}`),
        line: (process, text) => void lines.push(`${process}: ${text}`),
        text: () => {},
        ready: () => {},
        failed: () => {},
      },
      mapFor: (cell, map) => ({
        ...map,
        flushMs: flushMs ?? map.flushMs,
        heartbeat: heartbeat ?? map.heartbeat,
        cells: map.cells.map(({ id, url }) => ({ id, url: cell === "a" && id === "b" ? `http://${host}:${first + 5}` : url })),
      }),
    });
    const ports = new Map([
      ["a", first + 2],
      ["b", first + 3],
    ] as const);
    const rigged = new RiggedSystem({ directory, system, ports, relays: [toA, fromA], lines });
    try {
      await system.start(AbortSignal.timeout(60_000));
    } catch (error) {
      await rigged.stop();
      throw error;
    }
    return rigged;
  }

  url(cell: CellId): string {
    return `http://${host}:${this.#ports.get(cell)}`;
  }

  api(cell: CellId): ApiClient {
    return new ApiClient([this.url(cell)], readFileSync(join(this.directory, "secret"), "utf8").trim());
  }

  async status(cell: CellId): Promise<Status> {
    const status = await this.api(cell).get("/api/status");
    if (!isStatus(status)) throw new Error(`no status: ${JSON.stringify(status)}`);
    return status;
  }

  async history(cell: CellId): Promise<readonly Change[]> {
    return (await this.status(cell)).history;
  }

  /** Who is registered, and with which contacts, as this cell knows it. */
  async contacts(cell: CellId): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>();
    for (const row of (await this.api(cell).get("/api/registrations")) as readonly { readonly aor: string }[]) {
      const user = row.aor.slice(0, row.aor.indexOf("@"));
      counts.set(user, (counts.get(user) ?? 0) + 1);
    }
    return counts;
  }

  /** Nothing passes to cell a and from it any more, and nobody is told. */
  cut(): void {
    for (const relay of this.#relays) relay.cut();
  }

  /** What waited goes on. */
  heal(): void {
    for (const relay of this.#relays) relay.heal();
  }

  /** `cell a`, `gateway g1`. */
  kill(name: string): void {
    const { run } = this.#system;
    const pid = [...run.cells, ...run.gateways].find(({ id }) => name.endsWith(` ${id}`))?.pid;
    if (pid === undefined) throw new Error(`there is no ${name}`);
    process.kill(pid, "SIGKILL");
  }

  /** Starts a process that was killed again; resolves when it serves. */
  async startAgain(name: string): Promise<void> {
    await this.#system.startAgain(name);
  }

  /** Kills everything: nobody reads what it would write. */
  async stop(): Promise<void> {
    const stopped = this.#system.stop();
    this.#system.kill();
    await stopped;
    await Promise.all(this.#relays.map((relay) => relay.close()));
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
